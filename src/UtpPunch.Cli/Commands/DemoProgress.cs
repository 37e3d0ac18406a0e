using Spectre.Console;

namespace UtpPunch.Cli;

/// <summary>
/// Shows the progress of the demo on standard error: bars on a terminal (in colours, unless NO_COLOR is set), otherwise a line for each
/// quarter.
/// </summary>
internal static class DemoProgress
{
    /// <summary>Runs the work, which is given one reporter, of parts from 0 to 1, for each title.</summary>
    public static Task<T> ShowAsync<T>(string[] titles, Func<Action<double>[], Task<T>> work)
    {
        if (Console.IsErrorRedirected)
        {
            return work([.. titles.Select(Lines)]);
        }

        return AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) })
            .Progress()
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new ElapsedTimeColumn())
            .StartAsync(context => work([.. titles.Select(title => Bar(context.AddTask(title, autoStart: false, maxValue: 1)))]));
    }

    private static Action<double> Bar(ProgressTask task) => part =>
    {
        if (!task.IsStarted)
        {
            task.StartTask();
        }

        task.Value = part;
    };

    private static Action<double> Lines(string title)
    {
        var quarters = 0;
        return part =>
        {
            while (quarters < 4 && part * 4 >= quarters + 1)
            {
                quarters++;
                Console.Error.WriteLine($"{title}: {quarters * 25} %");
            }
        };
    }
}
