using System.Diagnostics;
using System.Reflection;

namespace UtpPunch.Cli;

/// <summary>This program once more, in a process of its own.</summary>
internal sealed class OwnProcess(params string[] arguments) : ChildProcess(Command(arguments))
{
    /// <summary>What starts this program with these words.</summary>
    public static ProcessStartInfo Command(params string[] arguments)
    {
        var executable = Environment.ProcessPath
            ?? throw new ToolException(ExitCodes.Failure, "the system does not say where this program is");
        var isHosted = Path.GetFileNameWithoutExtension(executable).Equals("dotnet", StringComparison.OrdinalIgnoreCase);
        var assembly = $"{Assembly.GetEntryAssembly()!.GetName().Name}.dll";
        string[] host = isHosted ? ["exec", Path.Combine(AppContext.BaseDirectory, assembly)] : [];
        return new ProcessStartInfo(executable, [.. host, .. arguments]);
    }
}
