namespace UtpPunch.Cli;

/// <summary>A file whose first line is the secret.</summary>
internal static class SecretFile
{
    private const UnixFileMode OfOthers = UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    /// <summary>The secret. A file that other users may read is accepted, with a warning.</summary>
    public static string Read(string file)
    {
        var line = UserFile.Read(file, path => File.ReadLines(path).FirstOrDefault());
        if (string.IsNullOrWhiteSpace(line))
        {
            // It would silently mean no secret.
            throw new ToolException(ExitCodes.Failure, $"{file} has no secret in its first line");
        }

        if (!OperatingSystem.IsWindows() && (UserFile.Read(file, File.GetUnixFileMode) & OfOthers) != UnixFileMode.None)
        {
            ErrorOutput.Warn($"other users can read {file} (chmod 600 makes it private)");
        }

        return line;
    }
}
