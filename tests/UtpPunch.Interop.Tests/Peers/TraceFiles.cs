using UtpPunch.Protocol;
using UtpPunch.Tracing;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>Traces for the tests of `utp trace`, and a folder for its output.</summary>
internal sealed class TraceFiles : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("utp-trace-");

    /// <summary>Twelve data packets and a FIN; the third one is lost.</summary>
    public static string Sample { get; } = PathOf("sample.utrace");

    /// <summary>120 kB at 400 kB/s, with five losses and two copies.</summary>
    public static string Transfer { get; } = PathOf("transfer.utrace");

    public static string PathOf(string name) => Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../../Traces", name));

    public string At(string name) => Path.Combine(_folder.FullName, name);

    /// <summary>Writes a trace, or half of one.</summary>
    public string Write(string name, IEnumerable<string> lines)
    {
        File.WriteAllText(At(name), string.Concat(lines.Select(line => line + "\n")));
        return At(name);
    }

    /// <summary>The lines of node A only, as a real socket records them: packets have no numbers.</summary>
    public string WriteOneNode() => Write(
        "one.utrace",
        from line in File.ReadLines(Sample)
        where line[0] == '#' ? !line.StartsWith("#node B", StringComparison.Ordinal) : line[13] == 'A'
        select System.Text.RegularExpressions.Regex.Replace(line, @" p=\d+ ", " p=0 "));

    /// <summary>The sample with another line at its end.</summary>
    public string WriteWith(string line) => Write("more.utrace", File.ReadLines(Sample).Append(line));

    /// <summary>The lines of a trace for sent and received packets.</summary>
    public static List<TraceLine> Packets(string file) =>
    [
        .. from line in File.ReadLines(file)
           where line[0] != '#'
           let parsed = TraceLineModule.Parse(line)
           where parsed.Kind == "pkt"
           select parsed,
    ];

    /// <summary>Runs `utp trace` with a file, which must succeed; its standard output.</summary>
    public static async Task<string> ShowAsync(params string[] words)
    {
        using var tool = ToolProcess.Start($"trace {string.Join(' ', words)}");
        await tool.SucceedAsync();
        return await tool.TextAsync();
    }

    public void Dispose() => _folder.Delete(recursive: true);
}
