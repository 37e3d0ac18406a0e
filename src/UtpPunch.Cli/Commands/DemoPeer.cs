using System.Globalization;
using System.Net;
using System.Text;

namespace UtpPunch.Cli;

/// <summary>
/// The second process of the demo, the client. Of its lines on standard output, those that begin with <see cref="Report"/> are the result
/// for the first process; the others are for the user.
/// </summary>
internal static class DemoPeer
{
    public const string Report = "report ";

    public static async Task<int> RunAsync(int port, int mebibytes)
    {
        EndWithInput();
        var rendezvous = new IPEndPoint(IPAddress.Loopback, port);
        await using var node = UtpNode.Bind(new UtpNodeOptions
        {
            LocalEndPoint = new IPEndPoint(IPAddress.Loopback, 0),
            SocketMode = SocketModeVariable.Read(),
        });
        var punch = await new UtpRendezvousClient(node, rendezvous).PunchAsync(Demo.Room);
        if (!punch.Success)
        {
            throw new ToolException(ExitCodes.Failure, punch.Explanation);
        }

        await GreetAsync(punch.Path);
        await using var stream = await node.ConnectAsync(punch.Path.RemoteEndPoint);
        var payload = DemoPayload.Random(mebibytes);
        await payload.SendAsync(stream, _ => { }, CancellationToken.None);
        stream.CompleteWrites();
        var received = await DemoPayload.ReceiveAsync(stream, mebibytes, _ => { }, CancellationToken.None);
        await stream.Closed;
        Console.WriteLine(Report + new DemoReport(payload.Sha256, received.Sha256, stream.GetStatistics().Retransmissions));
        return ExitCodes.Success;
    }

    /// <summary>The client of the README's example.</summary>
    private static async Task GreetAsync(UtpPunchedPath path)
    {
        await using var stream = await path.OpenAsync();
        Console.WriteLine("client: socket connected");
        await stream.WriteAsync("hello"u8.ToArray());
        var buffer = new byte[1024];
        while (await stream.ReadAsync(buffer) is > 0 and var count)
        {
            Console.WriteLine($"client: received '{Encoding.UTF8.GetString(buffer, 0, count)}'");
        }

        Console.WriteLine("client: socket disconnected");
    }

    // Standard input ends with the first process, even if it is killed.
    private static void EndWithInput()
    {
        new Thread(Wait) { IsBackground = true }.Start();

        static void Wait()
        {
            while (Console.In.Read() >= 0)
            {
            }

            Environment.Exit(ExitCodes.Failure);
        }
    }
}

/// <summary>The result that the second process reports.</summary>
internal sealed record DemoReport(string SentSha256, string ReceivedSha256, long Retransmissions)
{
    public override string ToString() => $"{SentSha256} {ReceivedSha256} {Retransmissions}";

    public static DemoReport Parse(string line)
    {
        var words = line.Split(' ');
        return new DemoReport(words[0], words[1], long.Parse(words[2], CultureInfo.InvariantCulture));
    }
}
