using UtpPunch.Cli.Bench;

namespace UtpPunch.Bench;

/// <summary>Kestrel over uTP beside Kestrel's own transport for sockets, each with HttpClient in another process.</summary>
internal static class WebPart
{
    public const string Name = "web";
    private const int AtOnce = 16;

    public static IEnumerable<BenchGroup> Groups(BenchSettings settings)
    {
        yield return new BenchGroup(Name, "web: one HTTP/1.1 response without end, loopback, two processes", Bulk.Measures, [
            new BenchCase("Kestrel over UtpPunch", token => DownloadAsync(Bulk.Discovered[0], token)),
            new BenchCase("Kestrel over TCP", token => DownloadAsync(Bulk.Tcp[0], token)),
        ]);
        foreach (var atOnce in new[] { 1, AtOnce })
        {
            yield return new BenchGroup(
                Name, $"web: small HTTP/1.1 requests, {atOnce} at a time", [new("requests/s", MoreIsBetter: true)], [
                    new BenchCase("Kestrel over UtpPunch", token => AskAsync(Bulk.Discovered[0], atOnce, token)),
                    new BenchCase("Kestrel over TCP", token => AskAsync(Bulk.Tcp[0], atOnce, token)),
                ]);
        }

        async Task<double[]> DownloadAsync(string protocol, CancellationToken cancellationToken)
        {
            // The client is the reader, and tells its port to no one; so the server is the one that is started first.
            using var server = new Worker(Worker.Role("web-serve", protocol));
            using var client = new Worker(Worker.Role("web-download", protocol, $"port={await server.PortAsync(cancellationToken)}"));
            await client.WaitAsync("started", cancellationToken);
            await Task.Delay(settings.WarmUp, cancellationToken);
            var before = (Client: await client.MarkAsync(cancellationToken), Server: await server.MarkAsync(cancellationToken));
            await Task.Delay(settings.Time, cancellationToken);
            var after = (Client: await client.MarkAsync(cancellationToken), Server: await server.MarkAsync(cancellationToken));
            client.Stop();
            await client.DoneAsync(cancellationToken);
            server.Stop();
            var bytes = after.Client.Counts[0] - before.Client.Counts[0];
            var processor = after.Client.Processor - before.Client.Processor + after.Server.Processor - before.Server.Processor;
            return [bytes / (after.Client.Seconds - before.Client.Seconds) / 1e6, processor / (bytes / 1e9)];
        }

        async Task<double[]> AskAsync(string protocol, int atOnce, CancellationToken cancellationToken)
        {
            using var server = new Worker(Worker.Role("web-serve", protocol));
            string[] words = [protocol, $"port={await server.PortAsync(cancellationToken)}", $"atOnce={atOnce}", $"milliseconds={settings.Time.TotalMilliseconds:F0}"];
            using var client = new Worker(Worker.Role("web-ask", words));
            var asked = await client.WaitAsync("asked", cancellationToken, settings.Time);
            return [asked.GetProperty("perSecond").GetDouble()];
        }
    }
}
