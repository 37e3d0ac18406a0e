using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using UtpPunch;

/// <summary>A connection to one peer, encrypted with TLS. Each side has a new certificate; the number that both sides show is made of both
/// certificates. If it is the same on both screens, nothing is between them.</summary>
internal static class Peer
{
    public const string Usage = """
          listen PORT                 wait for a peer at a UDP port
          connect HOST:PORT           dial a peer that listens
          meet SERVER:PORT ROOM       meet a peer in a room of a rendezvous server, also behind NATs;
                                      with the same secret in UTP_SECRET on both machines, no other peer can enter
        """;

    /// <summary>Connects as the words say, and uses the connection.</summary>
    /// <returns>The exit code: 0, 1 if it failed, 2 if the words are none of the above.</returns>
    public static async Task<int> RunAsync(string[] how, Func<SslStream, UtpStream, Task> use)
    {
        try
        {
            await using var node = await UtpNode.BindAsync(new UtpNodeOptions { LocalEndPoint = AddressOf(how) });
            await using var stream = await OpenAsync(node, how);
            await using var tls = await SecureAsync(stream);
            await use(tls, stream);
            return 0;
        }
        catch (FormatException error)
        {
            Console.Error.WriteLine($"{error.Message}\n{Usage}");
            return 2;
        }
        catch (Exception error) when (error is IOException or AuthenticationException or SocketException)
        {
            Console.Error.WriteLine(error.Message);
            return 1;
        }
    }

    /// <summary>Ends this side of a connection: the peer reads the end, and knows that nothing is missing.</summary>
    public static async Task EndAsync(SslStream tls, UtpStream stream)
    {
        await tls.ShutdownAsync();
        stream.CompleteWrites();
    }

    private static IPEndPoint AddressOf(string[] how) => how switch
    {
        ["listen", var port] => new IPEndPoint(IPAddress.IPv6Any, PortOf(port)),
        ["connect", _] or ["meet", _, _] => new IPEndPoint(IPAddress.IPv6Any, 0),
        _ => throw new FormatException("How is the peer reached?"),
    };

    private static async Task<UtpStream> OpenAsync(UtpNode node, string[] how)
    {
        switch (how)
        {
            case ["listen", _]:
                Console.Error.WriteLine($"waiting for a peer at UDP port {node.LocalEndPoint.Port}");
                return await node.Listen().AcceptAsync();
            case ["connect", var address]:
                return await node.ConnectAsync(HostOf(address));
            default:
                Console.Error.WriteLine($"waiting for a peer in room {how[2]}");
                var options = new UtpPunchOptions { Secret = Environment.GetEnvironmentVariable("UTP_SECRET"), Timeout = Timeout.InfiniteTimeSpan };
                return await new UtpRendezvousClient(node, HostOf(how[1])).ConnectAsync(how[2], options);
        }
    }

    private static async Task<SslStream> SecureAsync(UtpStream stream)
    {
        using var certificate = CreateCertificate();
        X509Certificate? peer = null;
        var tls = new SslStream(stream, leaveInnerStreamOpen: true, (_, shown, _, _) =>
        {
            peer = shown;
            return shown is not null;
        });
        if (stream.IsIncoming)
        {
            await tls.AuthenticateAsServerAsync(certificate, clientCertificateRequired: true, checkCertificateRevocation: false);
        }
        else
        {
            await tls.AuthenticateAsClientAsync("peer", [certificate], checkCertificateRevocation: false);
        }

        var (server, client) = stream.IsIncoming ? (certificate, peer!) : (peer!, (X509Certificate)certificate);
        Console.Error.WriteLine($"connected to {stream.RemoteEndPoint}; both sides must show this number: {NumberOf(server, client)}");
        return tls;
    }

    private static string NumberOf(X509Certificate server, X509Certificate client)
    {
        var hash = SHA256.HashData([.. server.GetCertHash(HashAlgorithmName.SHA256), .. client.GetCertHash(HashAlgorithmName.SHA256)]);
        return string.Join(' ', Enumerable.Range(0, 5).Select(part => $"{BitConverter.ToUInt32(hash, 4 * part) % 100_000:00000}"));
    }

    private static X509Certificate2 CreateCertificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=peer", key, HashAlgorithmName.SHA256);
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(30));
        return X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pfx), null);
    }

    private static EndPoint HostOf(string text)
    {
        if (IPEndPoint.TryParse(text, out var address) && address.Port > 0)
        {
            return address;
        }

        var colon = text.LastIndexOf(':');
        return colon > 0 ? new DnsEndPoint(text[..colon], PortOf(text[(colon + 1)..])) : throw new FormatException($"{text} has no port.");
    }

    private static ushort PortOf(string text) =>
        ushort.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var port)
            ? port
            : throw new FormatException($"{text} is no port.");
}
