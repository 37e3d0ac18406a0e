using System.Net.Sockets;

namespace UtpPunch.Cli;

/// <summary>`utp rendezvous`: a server, from the first word on standard output to the signal that ends it.</summary>
internal static class Rendezvous
{
    public static async Task<int> RunAsync(RendezvousServerOptions options, bool isJson)
    {
        using var interruption = new Interruption();
        await using var server = Start(options);
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

    private static RendezvousServer Start(RendezvousServerOptions options)
    {
        try
        {
            return RendezvousServer.Start(options);
        }
        catch (SocketException error)
        {
            var reason = error.SocketErrorCode == SocketError.AddressAlreadyInUse ? "a port is taken" : error.Message;
            throw new ToolException(ExitCodes.Failure, $"{string.Join(", ", options.LocalEndPoints)} cannot be bound: {reason}", error);
        }
    }

    private static void Announce(RendezvousServer server, bool isJson)
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

    private static void Conclude(RendezvousServerStatistics end, bool isJson)
    {
        if (!isJson)
        {
            Console.WriteLine($"introduced {end.Introduced} pairs; {end.Waiting} peers were waiting; {end.Dropped} datagrams were dropped");
            return;
        }

        JsonLine.Write("stopped", json =>
        {
            json.WriteNumber("introduced", end.Introduced);
            json.WriteNumber("waiting", end.Waiting);
            json.WriteNumber("dropped", end.Dropped);
        });
    }
}
