using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using UtpPunch.Tests;
using static UtpPunch.Interop.Interop;

namespace UtpPunch.Interop;

/// <summary>Failures of the tool: an exit code for the kind of failure, and one line on standard error.</summary>
public static class ToolFailures
{
    private const int Failure = 1;
    private const int Usage = 2;
    private const int TimedOut = 5;
    private const int Interrupted = 130;
    private const int Terminated = 143;

    private static readonly (string Words, string Answer)[] s_mistakes =
    [
        ("", "cat, punch, rendezvous, stun, map, demo, trace, replay, sim, bench, completion, man"),
        ("dog", "there is no command 'dog' (utp --help"),
        ("ca", "there is no command 'ca'; did you mean 'cat'?"),
        ("--versoin", "there is no option '--versoin'; did you mean '--version'?"),
        ("cat", "HOST and PORT are missing (or --listen"),
        ("cat localhost", "PORT is missing after 'localhost'"),
        ("cat localhost:5 6", "'localhost:5' has a port already"),
        ("cat localhost 0", "'0' is not a port"),
        ("cat localhost 65536", "'65536' is not a port"),
        ("cat localhost http", "'http' is not a port"),
        ("cat localhost 5 6", "'6'"),
        ("cat 0.0.0.0 5", "'0.0.0.0' is neither"),
        ("cat --listen localhost", "takes no HOST"),
        ("cat --listen localhost 5", "takes no HOST"),
        ("cat --listen --connect-timeout 1", "takes no --connect-timeout"),
        ("cat --listen --bind 5000", "'5000' is not IP:PORT"),
        ("cat --listen --bind localhost:5000", "'localhost:5000' is not IP:PORT"),
        ("cat --listen --bind 127.0.0.1:65536", "'127.0.0.1:65536' is not IP:PORT"),
        ("cat --listen --bind [::1]", "'[::1]' is not IP:PORT"),
        ("cat --listen --dialect tcp", "bep29 or utp-punch"),
        ("cat --listen --congestion reno", "'reno' is not a congestion control: bbr, cubic, ledbat"),
        ("cat localhost 5 --congestion BBR2", "'BBR2' is not a congestion control"),
        ("cat localhost 5 --connect-timeout soon", "'soon' is not a number of seconds"),
        ("cat --lisen", "no option '--lisen'; did you mean '--listen'?"),
        ("cat --loud localhost 5", "no option '--loud'"),
        ("cat localhost 5 --trce x", "no option '--trce'; did you mean '--trace'?"),
        ("cat --rendezvous h:1 --rom x", "no option '--rom'; did you mean '--room'?"),
        ("cat --listen --rendezvous h:1 --room x", "exclude each other"),
        ("cat localhost 5 --rendezvous h:1 --room x", "takes no HOST"),
        ("cat --rendezvous h:1 --room x --dialect utp-punch", "takes no --dialect"),
        ("cat --room x", "--rendezvous HOST:PORT is missing"),
        ("punch", "--rendezvous HOST:PORT is missing"),
        ("punch --rendezvous h:1", "--room NAME is missing"),
        ("punch --rendezvous 192.0.2.1:0 --room x", "'192.0.2.1:0' is not HOST:PORT"),
        ("punch --rendezvous a:b:c --room x", "'a:b:c' is not HOST:PORT"),
        ("punch --rendezvous h:1 --room x --secret a --secret-file b", "exclude each other"),
        ("punch h 5", "HOST and PORT are for --legacy"),
        ("punch --legacy", "HOST and PORT are missing"),
        ("punch --legacy h", "PORT is missing after 'h'"),
        ("punch --legacy h 5 --room x", "takes no --rendezvous"),
        ("punch --legacy h 5 --connect-timeout 1", "takes no --connect-timeout"),
        ("punch --legacy h 5 --attempts 0", "'0' is not a number of attempts"),
        ("punch --rendezvous h:1 --room x --attempts 5", "--attempts is for --legacy"),
        ("rendezvous --bind 5000", "'5000' is not IP:PORT"),
        ("rendezvous --bind 0.0.0.0:1 --bind 0.0.0.0:2 --bind 0.0.0.0:3 --bind 0.0.0.0:4 --bind 0.0.0.0:5", "four sockets at most"),
        ("stun", "HOST[:PORT] of a STUN server is missing"),
        ("stun --loud", "no option '--loud'"),
        ("stun 192.0.2.1:0", "'192.0.2.1:0' is not HOST:PORT, such as server.example:3478"),
        ("stun 192.0.2.1 a:b:c", "'a:b:c' is not HOST:PORT"),
        ("stun a b c", "'c'"),
        ("stun a 3478", "'3478' is only a port: write HOST:3478"),
        ("stun 192.0.2.1 --bind 5000", "'5000' is not IP:PORT"),
        ("map --protocol igd", "'igd' is not a protocol: pcp, nat-pmp or upnp"),
        ("map --lifetime 0", "'0' is not a number of seconds"),
        ("map --external-port 0", "'0' is not a port"),
        ("map 5000", "'5000'"),
        ("replay", "FILE"),
        ("replay x --mode loose", "strict, semantic or inputs-only"),
        ("replay x --mode inputs-only --json", "takes no --json"),
        ("replay --mdoe strict x", "no option '--mdoe'; did you mean '--mode'?"),
        ("trace x --text --json", "exclude each other"),
        ("trace --hml y x", "no option '--hml'; did you mean '--html'?"),
        ("demo --size 0", "'0' is not a number of MiB"),
        ("demo --sise 1", "no option '--sise'; did you mean '--size'?"),
        ("sim --sede 1", "no option '--sede'; did you mean '--seed'?"),
        ("completion tcsh", "'tcsh' is not a shell: bash, zsh, fish or pwsh"),
        ("completion", "SHELL"),
    ];

    [Fact("every mistake on the command line is one clear line, and code 2", Timeout = 120, Parallel = true)]
    public static Task Mistakes() =>
        Parallel.ForEachAsync(s_mistakes, new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (it, _) => await MistakeAsync(it.Words, it.Answer));

    [Fact("a port that does not answer is code 5, after --connect-timeout")]
    public static async Task NoAnswer()
    {
        using var silent = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        silent.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var target = (IPEndPoint)silent.LocalEndPoint!;
        var started = Stopwatch.GetTimestamp();
        using var tool = ToolProcess.Dial(target, "--connect-timeout 1.5");
        var errorLine = await tool.FailAsync(TimedOut);
        Check.That(errorLine.Contains($"{target} did not answer", StringComparison.Ordinal), errorLine);
        Check.That(Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(8));
    }

    [Fact("a port in use is code 1, and the line names it")]
    public static async Task PortTaken()
    {
        using var taker = await ToolProcess.ListenAsync();
        using var tool = ToolProcess.Start($"cat --listen --bind {taker.EndPoint}");
        Check.Equal($"utp: {taker.EndPoint} cannot be bound: the port is in use", await tool.FailAsync(Failure));
    }

    [Fact("a peer that refuses is code 1")]
    public static async Task Refused()
    {
        await using var node = UtpNode.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        using var tool = ToolProcess.Dial(node.LocalEndPoint);
        await tool.FailAsync(Failure);
    }

    [Fact("a name that does not exist is code 1")]
    public static async Task NoSuchName()
    {
        using var tool = ToolProcess.Start("cat no-such-name.invalid 5");
        Check.That((await tool.FailAsync(Failure)).Contains("no-such-name.invalid", StringComparison.Ordinal));
    }

    [Fact("the peer is killed while we send: code 5, and one line")]
    public static async Task KilledWhileWeSend()
    {
        using var listener = await ToolProcess.ListenAsync();
        using var dialler = ToolProcess.Dial(listener.EndPoint, "--timeout 3");
        await dialler.SayAsync(new byte[1000], end: false);
        await listener.DigestAsync(length: 1000);
        listener.Kill();
        await dialler.SayAsync(new byte[1000], end: false);
        Check.That((await dialler.FailAsync(TimedOut)).Contains($"{listener.EndPoint}", StringComparison.Ordinal));
    }

    [Fact("the peer is killed while it sends: a code other than 0, one line, and all received data on standard output")]
    public static async Task KilledWhileItSends()
    {
        using var listener = await ToolProcess.ListenAsync("--timeout 3");
        using var dialler = ToolProcess.Dial(listener.EndPoint);
        await dialler.SayAsync(PeerNoise.Bytes(OurSeed, 200_000), end: false);
        await listener.DigestAsync(length: 200_000);
        dialler.Kill();
        await listener.FailAsync(TimedOut);
        Check.Equal(Of(OurSeed, 200_000), await listener.DigestAsync());
    }

    [Fact("the peer resets the stream: code 1, and the reset is not taken for an end")]
    public static async Task Reset()
    {
        using var tool = await ToolProcess.ListenAsync();
        await using var node = UtpNode.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        await using var stream = await node.ConnectAsync(tool.EndPoint);
        await stream.WriteAsync(new byte[1000]);
        await tool.DigestAsync(length: 1000);
        stream.Abort();
        Check.That((await tool.FailAsync(Failure)).Contains("reset", StringComparison.Ordinal));
    }

    [Fact("Ctrl-C while it waits to be dialled ends it, code 130")]
    public static async Task InterruptedListener()
    {
        Skip.Unless(OperatingSystem.IsLinux(), "needs signals");
        using var tool = await ToolProcess.ListenAsync();
        tool.Interrupt();
        Check.Equal("utp: interrupted", await tool.FailAsync(Interrupted));
    }

    [Fact("SIGTERM while it waits to be dialled ends it, code 143")]
    public static async Task TerminatedListener()
    {
        Skip.Unless(OperatingSystem.IsLinux(), "needs signals");
        using var tool = await ToolProcess.ListenAsync();
        tool.Terminate();
        await tool.FailAsync(Terminated);
    }

    [Fact("the first Ctrl-C ends our direction in good order: what was read arrives, and so does the peer's data; code 130")]
    public static Task InterruptedOnce() => InterruptAsync(async (listener, dialler) =>
    {
        await listener.SayAsync("world"u8.ToArray());
        await listener.SucceedAsync();
        await dialler.FailAsync(Interrupted);
        Check.Equal("hello", await listener.TextAsync());
        Check.Equal("world", await dialler.TextAsync());
    });

    [Fact("the second Ctrl-C resets the stream; code 130")]
    public static Task InterruptedTwice() => InterruptAsync(async (listener, dialler) =>
    {
        dialler.Interrupt();
        await dialler.FailAsync(Interrupted);
        await listener.FailAsync(Failure);
    });

    /// <summary>A dialler that was interrupted once, in the middle of its input, after its first line.</summary>
    private static async Task InterruptAsync(Func<ToolProcess, ToolProcess, Task> then)
    {
        Skip.Unless(OperatingSystem.IsLinux(), "needs signals");
        using var listener = await ToolProcess.ListenAsync();
        using var dialler = ToolProcess.Dial(listener.EndPoint);
        await dialler.SayAsync("hello"u8.ToArray(), end: false);
        await listener.DigestAsync(length: 5);
        dialler.Interrupt();
        await dialler.ErrorOutputAsync();
        Check.Equal("utp: interrupted; sending what was read (interrupt again to stop at once)", dialler.ErrorOutput);
        await then(listener, dialler);
    }

    private static async Task MistakeAsync(string words, string what)
    {
        using var tool = ToolProcess.Start(words);
        tool.EndInput();
        var errorLine = await tool.FailAsync(Usage);
        Check.That(errorLine.Contains(what, StringComparison.Ordinal), $"'utp {words}' is answered with '{what}', not with '{errorLine}'");
        Check.Equal(0, (await tool.OutputAsync()).Length);
    }
}
