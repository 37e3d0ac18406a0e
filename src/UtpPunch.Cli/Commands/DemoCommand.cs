using System.CommandLine;

namespace UtpPunch.Cli;

/// <summary>The command line of `utp demo`, and the hidden one of its second process.</summary>
internal static class DemoCommand
{
    private const string PeerName = "demo-peer";

    private static readonly Option<int> Size = new("--size")
    {
        Description = "Data in each direction, in MiB.",
        HelpName = "MIB",
        CustomParser = Parsing.Mebibytes,
        DefaultValueFactory = _ => 64,
    };

    private static readonly Option<bool> Json = new("--json") { Description = "Print the result as one JSON object." };

    private static readonly Argument<int?> Port = new("PORT") { CustomParser = Parsing.Port };

    public static Command Create()
    {
        var command = new Command("demo", "Run two processes on this machine that meet, punch and transfer data both ways.") { Size, Json };
        command.SetAction(parsed => new Demo(parsed.GetValue(Size), parsed.GetValue(Json)).RunAsync());
        return command;
    }

    /// <summary>The second process of the demo, the client. It ends when its standard input does.</summary>
    public static Command CreatePeer()
    {
        var command = new Command(PeerName, "The second process of `utp demo`.") { Port, Size };
        command.Hidden = true;
        command.SetAction(parsed => DemoPeer.RunAsync(parsed.GetValue(Port)!.Value, parsed.GetValue(Size)));
        return command;
    }

    /// <summary>The arguments of the second process; the port is that of the rendezvous.</summary>
    public static string[] PeerArguments(int port, int mebibytes) => [PeerName, $"{port}", "--size", $"{mebibytes}"];
}
