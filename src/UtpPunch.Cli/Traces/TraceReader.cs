using UtpPunch.Tracing;

namespace UtpPunch.Cli.Traces;

/// <summary>Reads a trace into a model. The first line that is invalid ends it.</summary>
internal static class TraceReader
{
    /// <exception cref="ToolException">The file cannot be read, or is not a trace.</exception>
    public static TraceModel Read(string file)
    {
        try
        {
            return UserFile.Read(file, path =>
            {
                using var lines = File.OpenText(path);
                return Read(lines, Path.GetFileName(path));
            });
        }
        catch (TraceException error)
        {
            throw new ToolException(ExitCodes.Failure, $"{file}: {error.Message}", error);
        }
    }

    /// <exception cref="TraceException">A line is invalid.</exception>
    public static TraceModel Read(TextReader lines, string name)
    {
        // A trace that was cut or edited can be shown.
        var scanner = new TraceScanner(lines, checksEnd: false);
        var model = new TraceModel(scanner.Header) { File = name };
        var builder = new TraceModelBuilder(model, scanner.Header);
        while (scanner.Read())
        {
            try
            {
                builder.Tell(scanner.Line, scanner.LineNumber);
            }
            catch (LineException error)
            {
                throw new TraceException(scanner.LineNumber, error.Reason, error);
            }
            catch (FormatException error)
            {
                throw new TraceException(scanner.LineNumber, error.Message, error);
            }
        }

        model.Lines = scanner.LineNumber;
        builder.End();
        return model;
    }
}
