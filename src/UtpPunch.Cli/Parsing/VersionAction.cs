using System.CommandLine;
using System.CommandLine.Invocation;
using System.Reflection;

namespace UtpPunch.Cli;

/// <summary>`utp --version`: prints the name, the version and the commit.</summary>
internal sealed class VersionAction : SynchronousCommandLineAction
{
    private static readonly string s_full =
        typeof(VersionAction).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;

    /// <summary>The version without the commit.</summary>
    public static string Version => s_full.Split('+')[0];

    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        var commit = s_full.IndexOf('+') is > 0 and var plus ? $" ({s_full[(plus + 1)..Math.Min(s_full.Length, plus + 11)]})" : "";
        parseResult.InvocationConfiguration.Output.WriteLine($"utp {Version}{commit}");
        return ExitCodes.Success;
    }
}
