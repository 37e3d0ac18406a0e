namespace UtpPunch.Cli;

/// <summary>Reads and writes the files that the user names. All commands report a failure with the same words and the same code.</summary>
internal static class UserFile
{
    public static T Read<T>(string file, Func<string, T> read)
    {
        try
        {
            return read(file);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ToolException(ExitCodes.Failure, $"{file} cannot be read: {ReasonOf(file, error)}", error);
        }
    }

    public static void Write(string file, Action<Stream> write) => Creating(file, () =>
    {
        using var target = File.Create(file);
        write(target);
        return true;
    });

    /// <summary>Runs what creates a file.</summary>
    public static T Creating<T>(string file, Func<T> create)
    {
        try
        {
            return create();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ToolException(ExitCodes.Failure, $"{file} cannot be written: {ReasonOf(file, error)}", error);
        }
    }

    private static string ReasonOf(string file, Exception error) => error switch
    {
        FileNotFoundException or DirectoryNotFoundException => "there is no such file",
        UnauthorizedAccessException when Directory.Exists(file) => "it is a folder",
        UnauthorizedAccessException => "permission denied",
        _ => error.Message,
    };
}
