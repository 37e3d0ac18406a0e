using System.Diagnostics;
using System.Text;
using UtpPunch.Attacks.Attacks;
using UtpPunch.Attacks.Hosts;
using UtpPunch.Attacks.Network;
using UtpPunch.Attacks.Wire;

namespace UtpPunch.Attacks.Soak;

/// <summary>
/// Two nodes that use each other for hours, over a path with delay and loss. One process lives throughout and is measured; its peer is killed
/// now and then. Both are stopped for a while, as a laptop that sleeps, and floods reach them.
/// </summary>
internal sealed class SoakRun(SoakArguments arguments) : IDisposable
{
    private const int DelayMs = 10;
    private const double Loss = 0.005;
    private const int Continue = 18;                            // SIGCONT
    private const int Pause = 19;                               // SIGSTOP
    private const int Kill = 9;

    private static readonly TimeSpan s_interval = TimeSpan.FromMinutes(1);

    // Silent peers are noticed soon, so that what they leave behind shows.
    private static readonly string[] s_options = ["AcknowledgementTimeout=10", "IdleTimeout=20", "KeepAliveInterval=5", "ConnectTimeout=5"];

    private readonly Field _field = new(Library.Program(arguments.Library), DelayMs, Loss);
    private readonly Random _random = new(arguments.Seed);
    private readonly List<Sample> _samples = [];
    private Host? _steady;
    private Host? _peer;

    public static async Task<int> RunAsync(SoakArguments arguments)
    {
        Machine.Check();
        using var run = new SoakRun(arguments);
        return await run.RunAsync() ? 0 : 1;
    }

    public void Dispose() => _field.Dispose();

    private async Task<bool> RunAsync()
    {
        _steady = _field.Victim();
        await StartAsync(_steady);
        await StartPeerAsync();
        var clock = Stopwatch.StartNew();
        for (var minute = 1; minute <= Math.Max(4, (int)arguments.Duration.TotalMinutes); minute++)
        {
            var happened = await HappenAsync();
            var rest = (s_interval * minute) - clock.Elapsed;
            await Task.Delay(rest > TimeSpan.Zero ? rest : TimeSpan.Zero);
            _samples.Add(Sample.Of(minute, await _steady.AskAsync("soak-status"), happened));
            Console.WriteLine(_samples[^1]);
        }

        var left = await EndAsync();
        var isKept = Verdict(left, out var words);
        Console.WriteLine(words);
        if (arguments.Markdown is { } file)
        {
            await File.WriteAllTextAsync(file, Report(words));
        }

        return isKept;
    }

    private static async Task StartAsync(Host host)
    {
        await host.BindAsync(s_options);
        await host.AskAsync("accept churn");
    }

    private async Task StartPeerAsync()
    {
        _peer = _field.Honest();
        await StartAsync(_peer);
        await ChurnAsync(_peer, _steady!);
        await ChurnAsync(_steady!, _peer);
    }

    private Task ChurnAsync(Host host, Host target) =>
        host.AskAsync($"churn {target.Ip} {target.Address.Port} {Math.Max(1, arguments.Load / 2)} {_random.Next(1_000_000)}");

    private async Task<string> HappenAsync()
    {
        switch (_random.Next(10))
        {
            case 0 or 1:
                _ = Kernel.Signal(_peer!.Id, Kill);
                await Task.Delay(_random.Next(1, 8) * 1000);
                await StartPeerAsync();
                return "the peer was killed";
            case 2:
                await SleepAsync(_peer!);
                return "the peer slept";
            case 3:
                await SleepAsync(_steady!);
                return "slept";
            case 4 or 5:
                await FloodAsync((sender, target, end) => Places.StartFlood(sender, target, Places.SynsPerSecond, end));
                return "SYNs of forged sources";
            case 6:
                await FloodAsync(StartTooLarge);
                return "forged ICMP messages";
            default:
                return "-";
        }
    }

    private async Task SleepAsync(Host host)
    {
        _ = Kernel.Signal(host.Id, Pause);
        await Task.Delay(_random.Next(2, 30) * 1000);
        _ = Kernel.Signal(host.Id, Continue);
    }

    private async Task FloodAsync(Func<RawSender, Address, CancellationToken, Task> start)
    {
        using var sender = _field.NewSender();
        using var end = new CancellationTokenSource(TimeSpan.FromSeconds(_random.Next(1, 6)));
        await start(sender, _steady!.Address, end.Token);
    }

    private Task StartTooLarge(RawSender sender, Address target, CancellationToken cancellationToken) => Task.Run(
        () =>
        {
            var router = Address.Of(Field.AttackerIp, 0);
            while (!cancellationToken.IsCancellationRequested)
            {
                for (var i = 0; i < 20; i++)
                {
                    sender.AddTooLarge(router, target, _peer!.Address, (ushort)_random.Next(600, 1400));
                }

                sender.Flush();
                Thread.Sleep(1);
            }
        },
        CancellationToken.None);

    /// <summary>Ends the churn; how many streams the measured node has after all time-outs.</summary>
    private async Task<double> EndAsync()
    {
        await _peer!.AskAsync("soak-stop");
        await _steady!.AskAsync("soak-stop");
        await Task.Delay(TimeSpan.FromSeconds(40));
        return (await _steady.AskAsync("soak-status")).Number("streams");
    }

    private bool Verdict(double left, out string words)
    {
        var flat = new[]
        {
            Flatness.Of("RSS in MB", _samples, sample => sample.Rss, 16),
            Flatness.Of("managed heap in MB", _samples, sample => sample.Heap, 4),
            Flatness.Of("handles", _samples, sample => sample.Handles, 5),
            Flatness.Of("threads", _samples, sample => sample.Threads, 5),
        };
        var last = _samples[^1];
        var text = new StringBuilder("| | first quarter | last quarter | at most | |\n|---|---|---|---|---|\n");
        foreach (var it in flat)
        {
            text.AppendLine($"| {it.Name} | {it.First:F1} | {it.Last:F1} | {it.Allowed:F1} | {Word(it.IsKept)} |");
        }

        text.AppendLine($"| wrong bytes | | {last.Wrong} | 0 | {Word(last.Wrong == 0)} |");
        text.AppendLine($"| unexpected exceptions | | {last.Unexpected} | 0 | {Word(last.Unexpected == 0)} |");
        text.AppendLine($"| streams 40 s after the end | | {left} | 0 | {Word(left == 0)} |");
        words = text.ToString();
        return Array.TrueForAll(flat, it => it.IsKept) && last.Wrong == 0 && last.Unexpected == 0 && left == 0;
    }

    private string Report(string verdict)
    {
        var last = _samples[^1];
        var text = new StringBuilder(
            $"# Soak\n\n{last.Minute} minutes, {arguments.Load} streams at a time, {DelayMs} ms each way, {Loss:P1} loss, seed {arguments.Seed}: "
            + $"{last.Streams:N0} streams, {last.Bytes / 1e6:N0} MB, {last.Failures:N0} failures of streams to a peer that was killed, aborted or slept.\n\n");
        text.Append(verdict).Append("\n| minute | streams | MB | failures | RSS in MB | heap in MB | handles | threads | event |\n|---|---|---|---|---|---|---|---|---|\n");
        foreach (var it in _samples)
        {
            text.AppendLine(
                $"| {it.Minute} | {it.Streams} | {it.Bytes / 1e6:F0} | {it.Failures} | {it.Rss:F1} | {it.Heap:F1} | {it.Handles} | {it.Threads} | {it.Event} |");
        }

        return text.ToString();
    }

    private static string Word(bool isKept) => isKept ? "ok" : "failed";
}
