using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch.Cli.Traces;

/// <summary>Reads a trace; docs/utrace.md has the grammar. The first line that makes no sense ends it, with its number.</summary>
internal sealed class TraceReader
{
    private readonly TraceModel _model;
    private readonly TraceStory _story;
    private bool _hasBegun;

    private TraceReader(string file)
    {
        _model = new TraceModel { File = Path.GetFileName(file) };
        _story = new TraceStory(_model);
    }

    public static TraceModel Read(string file)
    {
        try
        {
            return UserFile.Read(file, path =>
            {
                using var lines = File.OpenText(path);
                return new TraceReader(path).ReadAll(lines);
            });
        }
        catch (FormatException error)
        {
            throw new ToolException(ExitCodes.Failure, $"{file}, {error.Message}", error);
        }
    }

    private TraceModel ReadAll(TextReader lines)
    {
        while (lines.ReadLine() is { } line)
        {
            _model.Lines++;
            try
            {
                ReadLine(line);
            }
            catch (FormatException error)
            {
                throw new FormatException($"line {_model.Lines}: {Shortened(error.Message)}", error);
            }
        }

        if (!_hasBegun)
        {
            throw new FormatException("line 1: this is no trace: there is no #utrace 2");
        }

        _story.End();
        return _model;
    }

    private void ReadLine(string line)
    {
        if (line is ['#', ..])
        {
            ReadHeader(line);
        }
        else if (!_hasBegun)
        {
            throw new FormatException("this is no trace: it does not begin with #utrace 2");
        }
        else if (line.Length > 0)
        {
            _story.Tell(TraceLineModule.Parse(line), _model.Lines);
        }
    }

    // What a replay needs of the header is not read here.
    private void ReadHeader(string line)
    {
        var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        switch (words)
        {
            case ["#", ..]:
                _model.Title = _model.Title.Length > 0 ? _model.Title : line[1..].Trim();
                break;
            case ["#utrace", "2"]:
                _hasBegun = true;
                break;
            case ["#utrace", ..]:
                throw new FormatException($"'{line}' is a version that this tool does not know: it reads #utrace 2");
            case ["#node", var name, var address, ..]:
                _model.Nodes.Add(new TraceNode(name, address));
                break;
            case ["#node", ..]:
                throw new FormatException("#node needs a name and an address");
            case ["#key", var name, var key]:
                _model.Payloads.Learn(name, key);
                break;
        }
    }

    // The core's messages end with the whole line, which may be long.
    private static string Shortened(string message) => message.Length <= 160 ? message : $"{message[..160]}…";
}
