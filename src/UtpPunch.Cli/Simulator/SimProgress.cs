using System.Globalization;
using Spectre.Console;

namespace UtpPunch.Cli.Simulator;

/// <summary>Shows progress on standard error: a bar on a terminal, otherwise a line every minute.</summary>
internal static class SimProgress
{
    private static readonly TimeSpan Often = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan Seldom = TimeSpan.FromMinutes(1);

    /// <summary>Runs the fleet to its end.</summary>
    public static void Show(Fleet fleet, SimOptions options)
    {
        if (options.Json || Console.IsErrorRedirected)
        {
            var running = fleet.RunAsync();
            while (!running.Wait(Seldom))
            {
                Console.Error.WriteLine(Line(fleet));
            }

            return;
        }

        AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) })
            .Progress()
            .AutoClear(true)
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new ElapsedTimeColumn())
            .Start(context =>
            {
                var task = context.AddTask(Line(fleet), maxValue: 1);
                var running = fleet.RunAsync();
                while (!running.Wait(Often))
                {
                    task.Description = Line(fleet);
                    task.Value = fleet.Part;
                }
            });
    }

    private static string Line(Fleet fleet) => string.Create(CultureInfo.InvariantCulture, $"{fleet.Done:N0} runs, {fleet.Events:N0} events");
}
