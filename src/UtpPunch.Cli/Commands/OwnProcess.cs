using System.Diagnostics;
using System.Reflection;

namespace UtpPunch.Cli;

/// <summary>This program again, in a child process.</summary>
internal sealed class OwnProcess(params string[] arguments) : ChildProcess(Command(arguments))
{
    /// <summary>Starts this program with these arguments.</summary>
    public static ProcessStartInfo Command(params string[] arguments)
    {
        var executable = Environment.ProcessPath
            ?? throw new ToolException(ExitCodes.Failure, "the path of this program is unknown");
        var isHosted = Path.GetFileNameWithoutExtension(executable).Equals("dotnet", StringComparison.OrdinalIgnoreCase);
        var assembly = $"{Assembly.GetEntryAssembly()!.GetName().Name}.dll";
        string[] host = isHosted ? ["exec", Path.Combine(AppContext.BaseDirectory, assembly)] : [];
        return new ProcessStartInfo(executable, [.. host, .. arguments]);
    }
}
