using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using UtpPunch.Protocol;

namespace UtpPunch.Tests;

/// <summary>A router on the loopback that speaks what a test wants: a UDP socket for PCP, NAT-PMP and SSDP, and an HTTP server.</summary>
internal sealed class FakeRouter : IAsyncDisposable
{
    public const string External = "192.0.1.1";

    private const int MaxRequest = 16 * 1024;

    private readonly Socket _udp = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
    private readonly TcpListener _http = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _ended = new();
    private readonly List<string> _actions = [];
    private readonly Task _tasks;

    public FakeRouter()
    {
        _udp.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _http.Start();
        _tasks = Task.WhenAll(Task.Run(ServeUdpAsync), Task.Run(ServeHttpAsync));
    }

    /// <summary>The only protocol that the node may use; null for all.</summary>
    public UtpPortMappingProtocol? Only { get; set; }

    /// <summary>How long the node may try.</summary>
    public TimeSpan Limit { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>What is answered to a datagram other than a search; null for nothing.</summary>
    public Func<byte[], byte[]?> OnAsked { get; set; } = _ => null;

    /// <summary>The LOCATION in answers to a search; null for no answer.</summary>
    public Func<string?> Location { get; set; } = () => null;

    /// <summary>The whole HTTP response, by the action; "GET" for a description.</summary>
    public Func<string, string, string> OnAction { get; set; } = (action, _) => Ok(action);

    /// <summary>The actions so far.</summary>
    public IReadOnlyList<string> Actions
    {
        get
        {
            lock (_actions)
            {
                return [.. _actions];
            }
        }
    }

    public string Url => $"http://{_http.LocalEndpoint}/root.xml";

    /// <summary>Maps the port of a node at this router.</summary>
    public async Task<UtpPortMapping> MapAsync(UtpNode node, CancellationToken cancellationToken = default)
    {
        var own = Addresses.ToEndpoint((IPEndPoint)_udp.LocalEndPoint!);
        var options = new MapperOptions(
            Addresses.ToEndpoint(node.LocalEndPoint), 8, own, [own], 0, 3_600_000_000, Clock.ToMicroseconds(Limit), MappingText.Of(Only));
        return await node.MapAsync(options, () => options, cancellationToken).AsTask().Within();
    }

    public static string Ok(string action) => action switch
    {
        "GET" => Response("200 OK", Description),
        "GetExternalIPAddress" => Response("200 OK", Body(action, $"<NewExternalIPAddress>{External}</NewExternalIPAddress>")),
        _ => Response("200 OK", Body(action, "")),
    };

    public static string Fault(int code) => Response("500 Internal Server Error", $"""
        <?xml version="1.0"?>
        <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode>
        <faultstring>UPnPError</faultstring><detail><UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>{code}</errorCode>
        <errorDescription>x</errorDescription></UPnPError></detail></s:Fault></s:Body></s:Envelope>
        """);

    public static string Response(string status, string body, string headers = "") =>
        $"HTTP/1.1 {status}\r\nContent-Type: text/xml\r\n{headers}Content-Length: {Encoding.UTF8.GetByteCount(body)}\r\nConnection: close\r\n\r\n{body}";

    /// <summary>The same response in chunks (RFC 9112, 7.1) of a few bytes.</summary>
    public static string Chunked(string response)
    {
        const int Size = 7;
        var parts = response.Split("\r\n\r\n", 2);
        var chunks = parts[1].Chunk(Size).Select(chunk => $"{chunk.Length:x}\r\n{new string(chunk)}\r\n");
        var headers = string.Join("\r\n", parts[0].Split("\r\n").Where(line => !line.StartsWith("Content-Length", StringComparison.Ordinal)));
        return $"{headers}\r\nTransfer-Encoding: chunked\r\n\r\n{string.Concat(chunks)}0\r\n\r\n";
    }

    public const string Description = """
        <?xml version="1.0"?>
        <!-- a comment -->
        <root xmlns="urn:schemas-upnp-org:device-1-0"><device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType>
        <deviceList><device><serviceList><service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>
        <controlURL>/ctl?a=1&amp;b=2</controlURL></service></serviceList></device></deviceList></device></root>
        """;

    public static string Body(string action, string content) => $"""
        <?xml version="1.0"?>
        <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><u:{action}Response xmlns:u="x">{content}</u:{action}Response></s:Body></s:Envelope>
        """;

    public async ValueTask DisposeAsync()
    {
        await _ended.CancelAsync();
        _udp.Dispose();
        _http.Stop();
        await _tasks.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _ended.Dispose();
    }

    private async Task ServeUdpAsync()
    {
        var buffer = new byte[2048];
        while (true)
        {
            var received = await _udp.ReceiveFromAsync(buffer, new IPEndPoint(IPAddress.Any, 0), _ended.Token);
            var datagram = buffer[..received.ReceivedBytes];
            var answer = Encoding.ASCII.GetString(datagram).StartsWith("M-SEARCH", StringComparison.Ordinal)
                ? Location() is { } location
                    ? Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\nLOCATION: {location}\r\n\r\n")
                    : null
                : OnAsked(datagram);
            if (answer is not null)
            {
                await _udp.SendToAsync(answer, received.RemoteEndPoint, _ended.Token);
            }
        }
    }

    private async Task ServeHttpAsync()
    {
        while (true)
        {
            using var client = await _http.AcceptTcpClientAsync(_ended.Token);
            try
            {
                await ServeAsync(client.GetStream());
            }
            catch (IOException)
            {
                // The node has enough of it.
            }
        }
    }

    private async Task ServeAsync(NetworkStream stream)
    {
        var request = "";
        var buffer = new byte[4096];
        while (!IsComplete(request) && request.Length < MaxRequest)
        {
            var count = await stream.ReadAsync(buffer, _ended.Token);
            if (count == 0)
            {
                return;
            }

            request += Encoding.ASCII.GetString(buffer, 0, count);
        }

        var action = request.StartsWith("GET ", StringComparison.Ordinal) ? "GET" : request.Split("SOAPAction: ")[1].Split('#')[1].Split('"')[0];
        lock (_actions)
        {
            _actions.Add(action);
        }

        await stream.WriteAsync(Encoding.UTF8.GetBytes(OnAction(action, request)), _ended.Token);
    }

    private static bool IsComplete(string request)
    {
        var parts = request.Split("\r\n\r\n", 2);
        var length = request.Split("Content-Length: ");
        return parts.Length == 2 && (length.Length < 2 || parts[1].Length >= int.Parse(length[1].Split('\r')[0], CultureInfo.InvariantCulture));
    }
}
