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

    private static readonly Option<bool> Json = new("--json")
    {
        Description = "Print what the trace holds, as one JSON object: nodes, packets, losses, retransmissions, violations. Not with --text.",
    };

    public static Command Create()
    {
        var command = new Command("trace", "Show a recorded trace as text, as a web page or as a capture.") { Source, Html, Capture, Text, Json };
        command.SetAction(parsed => Run(
            parsed.GetRequiredValue(Source),
            parsed.GetValue(Html),
            parsed.GetValue(Capture),
            parsed.GetValue(Text),
            parsed.GetValue(Json)));
        return command;
    }

    private static int Run(string source, string? html, string? capture, bool text, bool isJson)
    {
        if (text && isJson)
        {
            throw new ToolException(ExitCodes.Usage, "--text and --json exclude each other");
        }

        var model = TraceReader.Read(source);
        if (html is not null)
        {
            Save(html, target => TracePage.Write(model, target));
        }

        if (capture is not null)
        {
            Save(capture, target => TraceCapture.Write(model, target));
        }

        if (isJson)
        {
            Summarize(model);
        }
        else if (text || (html is null && capture is null))
        {
            using var output = new StreamWriter(StandardStreams.OpenOutput());
            new TraceLadder(model, output).Write();
        }

        return ExitCodes.Success;
    }

    private static void Summarize(TraceModel model) => JsonLine.Write("trace", json =>
    {
        json.WriteString("file", model.File);
        json.WriteString("title", model.Title);
        json.WriteNumber("lines", model.Lines);
        json.WriteStartArray("nodes");
        foreach (var node in model.Nodes)
        {
            json.WriteStartObject();
            json.WriteString("name", node.Name);
            json.WriteString("address", node.Address);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteNumber("packets", model.Packets.Count);
        json.WriteNumber("lost", model.Packets.Count(packet => packet.Lost is not null));
        json.WriteNumber("retransmissions", model.Packets.Count(packet => packet.IsAgain));
        json.WriteNumber("corrupt", model.Packets.Count(packet => packet.IsCorrupt));
        json.WriteNumber("violations", model.Events.Count(happened => happened.IsViolation));
    });

    // Made in memory first: an invalid trace leaves no part of a file.
    private static void Save(string file, Action<Stream> write)
    {
        using var memory = new MemoryStream();
        write(memory);
        UserFile.Write(file, memory.WriteTo);
    }
}
