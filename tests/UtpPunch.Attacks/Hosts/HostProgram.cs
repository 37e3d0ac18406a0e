using System.Globalization;
using System.Net;
using System.Reflection;

namespace UtpPunch.Attacks.Hosts;

/// <summary>
/// A process that uses the library as an application does, and obeys commands of <see cref="Host"/>. It uses only what older builds have,
/// too: options that they lack are set by name.
/// </summary>
internal static class HostProgram
{
    private static readonly HostState s_state = new();

    public static async Task<int> RunAsync()
    {
        AppDomain.CurrentDomain.UnhandledException += (_, e) => s_state.Note((Exception)e.ExceptionObject);
        TaskScheduler.UnobservedTaskException += (_, e) => s_state.Note(e.Exception);
        while (await Console.In.ReadLineAsync() is { } line)
        {
            string answer;
            try
            {
                answer = await ObeyAsync(line.Split(' ', StringSplitOptions.RemoveEmptyEntries));
            }
            catch (Exception e)
            {
                answer = $"error {e.GetType().Name}: {e.Message.ReplaceLineEndings(" ")}";
            }

            Console.Out.WriteLine(answer);
        }

        return 0;
    }

    private static async Task<string> ObeyAsync(string[] words) => words switch
    {
        ["bind", var ip, .. var options] => await s_state.BindAsync(Options(ip, options)),
        ["accept", "hold"] => s_state.Accept(_ => Task.CompletedTask),
        ["accept", "sink"] => s_state.Accept(s_state.SinkAsync),
        ["accept", "echo"] => s_state.Accept(s_state.EchoAsync),
        ["accept", "source", var bytes] => s_state.Accept(stream => HostState.SendAsync(stream, Long(bytes))),
        ["accept", "leave", var bytes] => s_state.Accept(stream => s_state.LeaveAsync(stream, (int)Long(bytes))),
        ["accept", "churn"] => s_state.Accept(s_state.Churn.ServeAsync, keeps: false),
        ["churn", var ip, var port, var workers, var seed] =>
            s_state.StartChurn(new IPEndPoint(IPAddress.Parse(ip), (int)Long(port)), (int)Long(workers), (int)Long(seed)),
        ["soak-status"] => s_state.SoakStatus(),
        ["soak-stop"] => s_state.StopChurn(),
        ["connect", var ip, var port] => await s_state.ConnectAsync(new IPEndPoint(IPAddress.Parse(ip), (int)Long(port))),
        ["send", var bytes] => await s_state.SendLastAsync(Long(bytes)),
        ["send-for", var seconds] => await s_state.SendForAsync(Seconds(seconds)),
        ["ping"] => await s_state.PingAsync(),
        ["abort"] => s_state.Abort(),
        ["status"] => s_state.Status(),
        ["dispose"] => await s_state.DisposeNodeAsync(),
        ["respond", var ip] => Responder.Start(IPAddress.Parse(ip)),
        ["rendezvous", var ip] => s_state.StartRendezvous(IPAddress.Parse(ip)),
        ["meet", var ip, var port, var room, var secret, var seconds] =>
            await s_state.MeetAsync(Server(ip, port), room, Meeting(secret, seconds)),
        ["visit", var ip, var port, var room, var secret, var seconds, .. var hosts] =>
            s_state.Visit(Server(ip, port), room, Meeting(secret, seconds), [.. hosts.Select(IPAddress.Parse)]),
        ["serve", var ip, var port, var room, var secret] => s_state.Serve(Server(ip, port), room, Meeting(secret, "3600")),
        ["crowd", var ip, var port, var room, var secret, var count] =>
            s_state.Crowd(Server(ip, port), room, Meeting(secret, "3600"), (int)Long(count)),
        _ => throw new ArgumentException($"'{string.Join(' ', words)}' is not a command"),
    };

    private static IPEndPoint Server(string ip, string port) => new(IPAddress.Parse(ip), (int)Long(port));

    private static UtpPunchOptions Meeting(string secret, string seconds) => new()
    {
        Secret = secret,
        Timeout = Seconds(seconds),
    };

    private static UtpNodeOptions Options(string ip, string[] words)
    {
        var options = new UtpNodeOptions { LocalEndPoint = new(IPAddress.Parse(ip), 0) };
        foreach (var word in words)
        {
            var (name, value) = (word[..word.IndexOf('=')], word[(word.IndexOf('=') + 1)..]);
            var property = typeof(UtpNodeOptions).GetProperty(name, BindingFlags.Public | BindingFlags.Instance);
            var kind = property is null ? null : Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType;
            property?.SetValue(options, kind == typeof(TimeSpan) ? Seconds(value) : Convert.ChangeType(Long(value), kind!, CultureInfo.InvariantCulture));
        }

        return options;
    }

    private static TimeSpan Seconds(string text) => TimeSpan.FromSeconds(double.Parse(text, CultureInfo.InvariantCulture));

    private static long Long(string text) => long.Parse(text, CultureInfo.InvariantCulture);
}
