namespace UtpPunch.Cli;

/// <summary>Messages of one line on standard error.</summary>
internal static class ErrorOutput
{
    /// <summary>Why the tool failed.</summary>
    public static void Write(string message) =>
        Console.Error.WriteLine($"utp: {TerminalText.Escape(message.ReplaceLineEndings(" ")).TrimEnd('.', ' ')}");

    /// <summary>What the user ought to change; the tool goes on.</summary>
    public static void Warn(string message) => Write($"warning: {message}");
}
