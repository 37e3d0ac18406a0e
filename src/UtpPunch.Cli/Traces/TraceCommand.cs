using System.CommandLine;

namespace UtpPunch.Cli.Traces;

/// <summary>`utp trace`: shows a recorded trace as a page, as a capture for Wireshark, or as text.</summary>
internal static class TraceCommand
{
    private static readonly Argument<string> Source = new("FILE")
    {
        Description = "A trace, as the simulator and UtpNode write it (docs/utrace.md).",
    };

    private static readonly Option<string?> Html = new("--html")
    {
        Description = "Write a self-contained web page: ladder, sequence numbers, windows, delays, all events.",
        HelpName = "OUT",
    };

    private static readonly Option<string?> Capture = new("--pcapng")
    {
        Description = "Write a capture for Wireshark. Decode it as uTP: tshark -d udp.port==5000,bt-utp.",
        HelpName = "OUT",
    };

    private static readonly Option<bool> Text = new("--text")
    {
        Description = "Write a ladder to standard output, a hundred columns wide (the default without --html and --pcapng).",
    };

    public static Command Create()
    {
        var command = new Command("trace", "Show a recorded trace as text, as a web page or as a capture.") { Source, Html, Capture, Text };
        command.SetAction(parsed => Run(
            parsed.GetRequiredValue(Source),
            parsed.GetValue(Html),
            parsed.GetValue(Capture),
            parsed.GetValue(Text)));
        return command;
    }

    private static int Run(string source, string? html, string? capture, bool text)
    {
        var model = TraceReader.Read(source);
        if (html is not null)
        {
            Save(html, target => TracePage.Write(model, target));
        }

        if (capture is not null)
        {
            Save(capture, target => TraceCapture.Write(model, target));
        }

        if (text || (html is null && capture is null))
        {
            using var output = new StreamWriter(StandardStreams.OpenOutput());
            new TraceLadder(model, output).Write();
        }

        return ExitCodes.Success;
    }

    // Made in memory first: an invalid trace leaves no part of a file.
    private static void Save(string file, Action<Stream> write)
    {
        using var memory = new MemoryStream();
        write(memory);
        UserFile.Write(file, memory.WriteTo);
    }
}
