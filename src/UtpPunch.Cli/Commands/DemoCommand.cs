using System.CommandLine;

namespace UtpPunch.Cli;

/// <summary>The command line of `utp demo`, and the hidden one with which it starts its second process.</summary>
internal static class DemoCommand
{
    private const string PeerName = "demo-peer";

    private static readonly Option<int> Size = new("--size")
    {
        Description = "How much goes each way, in mebibytes.",
        HelpName = "MIB",
        CustomParser = Parsing.Mebibytes,
        DefaultValueFactory = _ => 64,
    };

    private static readonly Argument<int?> Port = new("PORT") { CustomParser = Parsing.Port };

    public static Command Create()
    {
        const string Description = "Let two processes on this machine meet, punch, and talk: hello and world first, and then a lot of data each way.";
        var command = new Command("demo", Description) { Size };
        command.SetAction(parsed => Demo.RunAsync(parsed.GetValue(Size)));
        return command;
    }

    /// <summary>The other process of the demo: the client, which ends with its standard input.</summary>
    public static Command CreatePeer()
    {
        var command = new Command(PeerName, "The second process of `utp demo`.") { Port, Size };
        command.Hidden = true;
        command.SetAction(parsed => DemoPeer.RunAsync(parsed.GetValue(Port)!.Value, parsed.GetValue(Size)));
        return command;
    }

    /// <summary>The words that start the other process; the port is that of the rendezvous.</summary>
    public static string[] PeerArguments(int port, int mebibytes) => [PeerName, $"{port}", "--size", $"{mebibytes}"];
}
