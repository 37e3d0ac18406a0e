// Kernels as NATs: `natlab --help` lists the options. Exit codes: 0 all results are as expected, 1 some are not, 2 the command line is
// invalid or the machine lacks something, 130 Ctrl-C, 143 SIGTERM.

using System.Diagnostics;
using System.Runtime.InteropServices;
using UtpPunch.NatLab;
using UtpPunch.NatLab.Network;
using UtpPunch.NatLab.Tools;

using var interrupted = new CancellationTokenSource();
var exitCode = 0;
using var control = PosixSignalRegistration.Create(PosixSignal.SIGINT, context => Interrupt(context, 130));
using var ending = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => Interrupt(context, 143));

try
{
    switch (args)
    {
        case ["--help"]:
            Console.WriteLine(Arguments.Usage);
            return 0;
        case ["rendezvous", ..]:
            return await Commands.RendezvousAsync(args, interrupted.Token);
        case ["punch", ..]:
            return Commands.Punch(args);
        case ["verify"]:
            Machine.Check();
            using (var verify = new Verify())
            {
                return verify.Run(interrupted.Token) == 0 ? 0 : 1;
            }

        default:
            var arguments = Arguments.Parse(args);
            Machine.Check();
            return await RunAsync(arguments, interrupted.Token);
    }
}
catch (OperationCanceledException) when (exitCode != 0)
{
    return exitCode;
}
catch (UsageException error)
{
    Console.Error.WriteLine(error.Message);
    return 2;
}
catch (Exception error) when (error is IOException or System.Net.Sockets.SocketException or TimeoutException)
{
    Console.Error.WriteLine(error.Message);
    return 1;
}

void Interrupt(PosixSignalContext context, int code)
{
    context.Cancel = true;                              // running labs end in order
    exitCode = code;
    interrupted.Cancel();
}

static async Task<int> RunAsync(Arguments arguments, CancellationToken cancellationToken)
{
    using var world = new World();
    using ITool tool = arguments.Tool switch
    {
        "reflexive" => new ReflexiveTool(world, arguments.Primed),
        "npm" => new NpmTool(world),
        "offers" => await OfferTool.StartAsync(world),
        "torrents" => new TorrentTool(world),
        _ => await UtpTool.StartAsync(world, arguments),
    };
    var matrix = new Matrix(world, tool, arguments.Labs, arguments.Mapped, arguments.IPv6 is not null, arguments.Carrier, arguments.Nat64 is not null);
    var wrong = 0;
    foreach (var late in arguments.Modes)
    {
        var clock = Stopwatch.StartNew();
        var cells = await matrix.RunAsync(arguments.Pairs, TimeSpan.FromMilliseconds(late), cancellationToken);
        var mode = late == 0 ? "both at once" : $"B {late} ms late";
        Console.WriteLine(Report.Of($"{tool.Name}: {mode} ({clock.Elapsed.TotalSeconds:F0} s)", cells));
        wrong += cells.Count(cell => cell.IsWrong);
    }

    return wrong == 0 ? 0 : 1;
}
