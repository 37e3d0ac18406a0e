namespace UtpPunch.Cli;

/// <summary>The variable of the environment that chooses how the tool uses its sockets.</summary>
internal static class SocketModeVariable
{
    public const string Name = "UTP_TRANSPORT";

    /// <exception cref="ToolException">The variable has another value.</exception>
    public static UtpSocketMode Read() => Environment.GetEnvironmentVariable(Name) switch
    {
        null or "" => UtpSocketMode.Automatic,
        "linux" => UtpSocketMode.Linux,
        "managed" => UtpSocketMode.Managed,
        var other => throw new ToolException(ExitCodes.Usage, $"{Name} is '{other}': it must be linux or managed"),
    };
}
