using System.CommandLine;
using System.Net;

namespace UtpPunch.Cli;

/// <summary>What the command line says of the node of a command. A null trace is none.</summary>
internal sealed record NodeRequest(IPEndPoint? Bind, string? Trace, bool IsVerbose);

/// <summary>The options of a command that has a node.</summary>
internal sealed class NodeOptions
{
    private readonly Option<IPEndPoint?> _bind = PeerOptions.Bind();

    private readonly Option<bool> _verbose = new("--verbose", "-v")
    {
        Description = "Report on standard error what happens to streams, paths and connects.",
    };

    private readonly Option<string?> _trace = new("--trace")
    {
        Description = "Record what the node receives and sends, and write it to this file at the end, also after a failure: for utp trace and utp replay.",
        HelpName = "FILE",
    };

    public void AddTo(Command command)
    {
        command.Options.Add(_bind);
        command.Options.Add(_verbose);
        command.Options.Add(_trace);
    }

    public NodeRequest Read(ParseResult parsed) => new(parsed.GetValue(_bind), parsed.GetValue(_trace), parsed.GetValue(_verbose));
}
