using System.IO.Compression;
using System.IO.Pipelines;
using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace UtpPunch.Tests;

/// <summary>Users of <see cref="System.IO.Stream"/> work with this library's streams.</summary>
public static class Composition
{
    [Fact("TLS runs over a stream, with certificates on both sides")]
    public static async Task Tls()
    {
        await using var pair = await Pair.OpenAsync();
        using var certificate = SelfSigned();
        var pinned = certificate.GetCertHashString(HashAlgorithmName.SHA256);
        bool IsPinned(object sender, X509Certificate? other, X509Chain? chain, SslPolicyErrors errors) =>
            other?.GetCertHashString(HashAlgorithmName.SHA256) == pinned;
        await using var client = new SslStream(pair.Near);
        await using var server = new SslStream(pair.Far);
        var accepting = server.AuthenticateAsServerAsync(new SslServerAuthenticationOptions
        {
            ServerCertificate = certificate,
            ClientCertificateRequired = true,
            RemoteCertificateValidationCallback = IsPinned,
        });
        await client.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
        {
            TargetHost = "utp",
            ClientCertificates = [certificate],
            RemoteCertificateValidationCallback = IsPinned,
        }).Within();
        await accepting.Within();
        await Task.WhenAll(Carry(client, server, 1_000_000, 1), Carry(server, client, 700_000, 2)).Within();
        await client.ShutdownAsync().Within();
        Check.Equal(0, await server.ReadAsync(new byte[1]).Within());
    }

    [Fact("text is written and read line by line")]
    public static async Task Lines()
    {
        await using var pair = await Pair.OpenAsync(options => options.NoDelay = true);
        await using var writer = new StreamWriter(pair.Near, Encoding.UTF8);
        using var reader = new StreamReader(pair.Far, Encoding.UTF8);
        for (var number = 0; number < 1000; number++)
        {
            await writer.WriteLineAsync($"Zeile {number}: äöü €");
            await writer.FlushAsync().Within();
            Check.Equal($"Zeile {number}: äöü €", await reader.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(10)));
        }

        writer.Write("no line");
        writer.Flush();
        pair.Near.CompleteWrites();
        Check.Equal("no line", await reader.ReadToEndAsync().Within());
    }

    [Fact("compressed data goes through, though the compressor writes synchronously in the end")]
    public static async Task Compressed()
    {
        await using var pair = await Pair.OpenAsync();
        var sent = Encoding.UTF8.GetBytes(string.Join('\n', Enumerable.Range(0, 50_000).Select(number => $"line {number}")));
        var writing = Task.Run(() =>
        {
            using (var compressor = new BrotliStream(pair.Near, CompressionLevel.Fastest, leaveOpen: true))
            {
                compressor.Write(sent);
            }

            pair.Near.CompleteWrites();
        });
        await using var expander = new BrotliStream(pair.Far, CompressionMode.Decompress);
        Waiting.Same(sent, await expander.ReadToEndAsync());
        await writing.Within();
    }

    [Fact("pipes read and write a stream")]
    public static async Task Pipes()
    {
        await using var pair = await Pair.OpenAsync();
        var sent = Waiting.Bytes(600_000);
        var writer = PipeWriter.Create(pair.Near);
        var writing = Task.Run(async () =>
        {
            for (var at = 0; at < sent.Length; at += 10_000)
            {
                await writer.WriteAsync(sent.AsMemory(at, 10_000));
            }

            await writer.CompleteAsync();
        });
        var reader = PipeReader.Create(pair.Far);
        var received = new MemoryStream();
        while (true)
        {
            var result = await reader.ReadAsync().Within();
            foreach (var segment in result.Buffer)
            {
                received.Write(segment.Span);
            }

            reader.AdvanceTo(result.Buffer.End);
            if (result.IsCompleted)
            {
                break;
            }
        }

        await reader.CompleteAsync();
        await writing.Within();
        Waiting.Same(sent, received.ToArray());
        Check.That(!pair.Near.CanWrite && !pair.Far.CanRead);
    }

    [Fact("a pending read of a pipe is cancelled and loses nothing")]
    public static async Task PipeCancelled()
    {
        await using var pair = await Pair.OpenAsync();
        var reader = PipeReader.Create(pair.Far);
        var reading = reader.ReadAsync().AsTask();
        reader.CancelPendingRead();
        Check.That((await reading.Within()).IsCanceled);
        await pair.Near.WriteAsync(new byte[] { 1 }).Within();
        Check.Equal(1L, (await reader.ReadAsync().Within()).Buffer.Length);
        await reader.CompleteAsync();
    }

    [Fact("an HTTP client works over streams")]
    public static async Task Http()
    {
        await using var server = await Pair.BindAsync();
        await using var client = await Pair.BindAsync();
        var listener = server.Listen();
        var serving = ServeAsync(listener);
        using var handler = new SocketsHttpHandler
        {
            ConnectCallback = async (context, token) => await client.ConnectAsync(server.LocalEndPoint, null, token),
        };
        using var http = new HttpClient(handler);
        var posted = Waiting.Bytes(300_000);
        for (var turn = 0; turn < 3; turn++)
        {
            using var response = await http.PostAsync("http://utp/echo", new ByteArrayContent(posted)).Within();
            Check.Equal(HttpStatusCode.OK, response.StatusCode);
            Waiting.Same(posted, await response.Content.ReadAsByteArrayAsync().Within());
        }

        Check.Equal(1, client.GetStatistics().OutgoingConnections);
        handler.Dispose();
        await listener.DisposeAsync();
        await serving.Within();
        client.Dispose();
        server.Dispose();
    }

    [Fact("a stream is copied to another, and from another")]
    public static async Task Copies()
    {
        await using var first = await Pair.OpenAsync();
        await using var second = await Pair.OpenAsync();
        var sent = Waiting.Bytes(2_000_000);
        var relaying = Task.Run(async () =>
        {
            await first.Far.CopyToAsync(second.Near);
            second.Near.CompleteWrites();
        });
        var writing = Task.Run(async () =>
        {
            await new MemoryStream(sent).CopyToAsync(first.Near);
            first.Near.CompleteWrites();
        });
        Waiting.Same(sent, await second.Far.ReadToEndAsync());
        await Task.WhenAll(relaying, writing).Within();
    }

    [Fact("a copy can be cancelled while it waits")]
    public static async Task CopyCancelled()
    {
        await using var pair = await Pair.OpenAsync();
        using var source = new CancellationTokenSource();
        var copying = pair.Far.CopyToAsync(Stream.Null, source.Token);
        await source.CancelAsync();
        await Check.ThrowsAsync<OperationCanceledException>(() => copying.Within());
        await pair.Near.WriteAsync(new byte[] { 1 }).Within();
        Check.Equal(1, await pair.Far.ReadAsync(new byte[2]).Within());
    }

    // A minimal HTTP server for a client that posts with a length: it returns the body.
    private static async Task ServeAsync(UtpListener listener)
    {
        await foreach (var stream in listener.AcceptAllAsync())
        {
            await using (stream)
            {
                while (await HeadAsync(stream) is { Length: > 0 } head)
                {
                    var length = head.Split("\r\n").First(line => line.StartsWith("Content-Length: ", StringComparison.OrdinalIgnoreCase));
                    var body = new byte[int.Parse(length.AsSpan(16))];
                    await stream.ReadExactlyAsync(body);
                    await stream.WriteAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nContent-Length: {body.Length}\r\n\r\n"));
                    await stream.WriteAsync(body);
                }
            }
        }
    }

    private static async Task<string> HeadAsync(Stream stream)
    {
        var head = new StringBuilder();
        var one = new byte[1];
        while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal) && await stream.ReadAsync(one) == 1)
        {
            head.Append((char)one[0]);
        }

        return head.ToString();
    }

    private static async Task Carry(Stream from, Stream to, int size, int seed)
    {
        var sent = Waiting.Bytes(size, seed);
        var received = new byte[size];
        await Task.WhenAll(from.WriteAsync(sent).AsTask(), to.ReadExactlyAsync(received).AsTask());
        Waiting.Same(sent, received);
    }

    private static X509Certificate2 SelfSigned()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=utp", key, HashAlgorithmName.SHA256);
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddYears(200));
        return X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), null);
    }
}
