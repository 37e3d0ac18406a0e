using System.Diagnostics;
using System.Net;
using System.Text;
using System.Text.Json;

namespace UtpPunch.Cli;

/// <summary>
/// `utp demo`: this process is the server of the README's example, a second one is the client. They meet at a rendezvous and punch, as two
/// machines behind NATs would. After hello and world, bulk data goes to the server and then to the client, with a half-close in between;
/// both compare hashes.
/// </summary>
internal sealed class Demo(int mebibytes, bool isJson)
{
    /// <summary>The room in which the two processes meet.</summary>
    public const string Room = "utp demo";

    private static readonly TimeSpan Timeout = TimeSpan.FromMinutes(2);

    public async Task<int> RunAsync()
    {
        using var interruption = new Interruption();
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(interruption.Finish);
        timeout.CancelAfter(Timeout);
        try
        {
            await RunAsync(timeout.Token);
            return ExitCodes.Success;
        }
        catch (OperationCanceledException)
        {
            var reason = interruption.ExitCode is null ? $"the demo did not finish within {Timeout.TotalMinutes} minutes" : "interrupted";
            ErrorOutput.Write(reason);
            return interruption.ExitCode ?? ExitCodes.Failure;
        }
        catch (UtpException error)
        {
            throw new ToolException(ExitCodes.Failure, error.Message, error);
        }
    }

    private async Task RunAsync(CancellationToken cancellationToken)
    {
        var loopback = new IPEndPoint(IPAddress.Loopback, 0);
        await using var rendezvous = UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { LocalEndPoints = [loopback, loopback], SocketMode = SocketModeVariable.Read() });
        await using var node = UtpNode.Bind(new UtpNodeOptions { LocalEndPoint = loopback, SocketMode = SocketModeVariable.Read() });
        await using var listener = node.Listen();
        var meetingPoint = rendezvous.LocalEndPoints[0];
        using var peer = new OwnProcess(DemoCommand.PeerArguments(meetingPoint.Port, mebibytes));
        using var gone = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var reporting = FollowAsync(peer, gone);
        try
        {
            Say($"This is process {Environment.ProcessId}, the server, at {node.LocalEndPoint}; process {peer.Id} is the client.");
            await GreetAsync(await MeetAsync(node, meetingPoint, gone.Token), gone.Token);
            var result = await ExchangeAsync(listener, gone.Token);
            Conclude(result, await reporting ?? throw Missing());
            if (await peer.ExitAsync(cancellationToken) is not 0 and var code)
            {
                throw new ToolException(ExitCodes.Failure, $"the second process ended with exit code {code}");
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw Missing();
        }

        static ToolException Missing() => new(ExitCodes.Failure, "the second process ended too early");
    }

    /// <summary>Repeats the lines of the second process until it reports its result; if it ends before, everything is cancelled.</summary>
    private async Task<DemoReport?> FollowAsync(OwnProcess peer, CancellationTokenSource gone)
    {
        while (await peer.ReadLineAsync(gone.Token) is { } line)
        {
            if (line.StartsWith(DemoPeer.Report, StringComparison.Ordinal))
            {
                return DemoReport.Parse(line[DemoPeer.Report.Length..]);
            }

            Say(line);
        }

        await gone.CancelAsync();
        return null;
    }

    private async Task<UtpPunchedPath> MeetAsync(UtpNode node, IPEndPoint rendezvous, CancellationToken cancellationToken)
    {
        var punch = await new UtpRendezvousClient(node, rendezvous).PunchAsync(Room, null, cancellationToken);
        Say($"Met at the rendezvous {rendezvous} and punched: {punch.Explanation}");
        return punch.Success ? punch.Path : throw new ToolException(ExitCodes.Failure, "the two processes found no path to each other");
    }

    /// <summary>The server of the README's example.</summary>
    private async Task GreetAsync(UtpPunchedPath path, CancellationToken cancellationToken)
    {
        await using var stream = await path.OpenAsync(cancellationToken);
        Say("server: socket connected");
        var buffer = new byte[1024];
        while (await stream.ReadAsync(buffer, cancellationToken) is > 0 and var count)
        {
            Say($"server: received '{Encoding.UTF8.GetString(buffer, 0, count)}'");
            await stream.WriteAsync("world"u8.ToArray(), cancellationToken);
            stream.CompleteWrites();
        }

        Say("server: socket disconnected");
    }

    private async Task<Result> ExchangeAsync(UtpListener listener, CancellationToken cancellationToken)
    {
        await using var stream = await listener.AcceptAsync(cancellationToken);
        string[] titles = [$"{mebibytes} MiB to the server", $"{mebibytes} MiB to the client"];
        return await DemoProgress.ShowAsync(titles, async progress =>
        {
            var received = await DemoPayload.ReceiveAsync(stream, mebibytes, progress[0], cancellationToken);
            var payload = DemoPayload.Random(mebibytes);
            var started = Stopwatch.GetTimestamp();
            await payload.SendAsync(stream, progress[1], cancellationToken);
            stream.CompleteWrites();
            await stream.Closed.WaitAsync(cancellationToken);
            return new Result(received, payload, Stopwatch.GetElapsedTime(started), stream.GetStatistics().Retransmissions);
        });
    }

    private void Conclude(Result here, DemoReport there)
    {
        if (here.Received.Sha256 != there.SentSha256 || here.Sent.Sha256 != there.ReceivedSha256)
        {
            throw new ToolException(ExitCodes.Failure, "the bytes received differ from the bytes sent (SHA-256)");
        }

        if (isJson)
        {
            JsonLine.Write("demonstrated", json =>
            {
                json.WriteNumber("bytes", mebibytes * 1048576L);
                Write(json, "toServer", there.SentSha256, here.Received.Time, there.Retransmissions);
                Write(json, "toClient", here.Sent.Sha256, here.SendingTime, here.Retransmissions);
            });
        }

        Say($"""

            {mebibytes} MiB went to the server at {Speed(mebibytes, here.Received.Time)}, SHA-256 {there.SentSha256},
            and {mebibytes} MiB to the client at {Speed(mebibytes, here.SendingTime)}, SHA-256 {here.Sent.Sha256}.
            Hashes are equal. Retransmitted packets: {there.Retransmissions} to the server, {here.Retransmissions} to the client.
            """);
    }

    private static void Write(Utf8JsonWriter json, string direction, string sha256, TimeSpan time, long retransmissions)
    {
        json.WriteStartObject(direction);
        json.WriteNumber("seconds", Math.Round(time.TotalSeconds, 3));
        json.WriteString("sha256", sha256);
        json.WriteNumber("retransmissions", retransmissions);
        json.WriteEndObject();
    }

    private static string Speed(int mebibytes, TimeSpan time) => $"{mebibytes / Math.Max(time.TotalSeconds, 0.001):F0} MiB/s";

    private void Say(string line)
    {
        if (!isJson)
        {
            Console.WriteLine(TerminalText.EscapeLines(line));
        }
    }

    private sealed record Result(DemoPayload Received, DemoPayload Sent, TimeSpan SendingTime, long Retransmissions);
}
