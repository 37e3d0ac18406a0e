namespace UtpPunch.Cli;

/// <summary>The one line on standard error that says why the tool failed.</summary>
internal static class ErrorOutput
{
    public static void Write(string message) => Console.Error.WriteLine($"utp: {message.ReplaceLineEndings(" ").TrimEnd('.', ' ')}");
}
