using System.Net.Sockets;

namespace UtpPunch.Cli;

/// <summary>`utp rendezvous`: runs a server until a signal ends it.</summary>
internal static class Rendezvous
{
    public static async Task<int> RunAsync(UtpRendezvousServerOptions options, bool isJson)
    {
        using var interruption = new Interruption();
        await using var server = Bind(options);
        Announce(server, isJson);
        await Task.WhenAny(server.Completion, Task.Delay(Timeout.Infinite, interruption.Finish));
        var end = server.GetStatistics();
        if (interruption.ExitCode is not { } code)
        {
            await server.Completion;
            throw new ToolException(ExitCodes.Failure, "the server stopped by itself");
        }

        Conclude(end, isJson);
        return code;
    }

    private static UtpRendezvousServer Bind(UtpRendezvousServerOptions options)
    {
        options.SocketMode = SocketModeVariable.Read();
        try
        {
            return UtpRendezvousServer.Bind(options);
        }
        catch (SocketException error)
        {
            var reason = error.SocketErrorCode == SocketError.AddressAlreadyInUse ? "a port is in use" : error.Message;
            throw new ToolException(ExitCodes.Failure, $"{string.Join(", ", options.LocalEndPoints)} cannot be bound: {reason}", error);
        }
    }

    private static void Announce(UtpRendezvousServer server, bool isJson)
    {
        if (!isJson)
        {
            Console.WriteLine($"listening on {string.Join(", ", server.LocalEndPoints)}");
            return;
        }

        JsonLine.Write("listening", json =>
        {
            json.WriteStartArray("endpoints");
            foreach (var endPoint in server.LocalEndPoints)
            {
                json.WriteStringValue($"{endPoint}");
            }

            json.WriteEndArray();
        });
    }

    private static string Count(long number, string thing) => $"{number} {thing}{(number == 1 ? "" : "s")}";

    private static void Conclude(UtpRendezvousServerStatistics end, bool isJson)
    {
        if (!isJson)
        {
            Console.WriteLine($"introduced {Count(end.TotalIntroductions, "pair")}; {Count(end.WaitingPeers, "peer")} waiting; {Count(end.DatagramsRefused, "datagram")} dropped");
            return;
        }

        JsonLine.Write("stopped", json =>
        {
            json.WriteNumber("introduced", end.TotalIntroductions);
            json.WriteNumber("waiting", end.WaitingPeers);
            json.WriteNumber("dropped", end.DatagramsRefused);
        });
    }
}
