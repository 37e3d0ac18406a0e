namespace UtpPunch.Cli;

/// <summary>The file of `--trace`. It is created at once, so that a wrong name is found before anything is transferred, and written when the
/// command has ended, in whatever way. Dispose it after the node.</summary>
internal sealed class TraceFile : IAsyncDisposable
{
    private readonly string _name;
    private readonly FileStream _file;
    private UtpNode? _node;

    private TraceFile(string name)
    {
        _name = name;
        _file = File.Create(name);
    }

    /// <returns>Null if no file was asked for.</returns>
    public static TraceFile? Create(string? name) => name is null ? null : UserFile.Creating(name, () => new TraceFile(name));

    /// <summary>Names the node whose trace is written.</summary>
    public void Record(UtpNode node) => _node = node;

    public async ValueTask DisposeAsync()
    {
        await using var file = _file;
        try
        {
            if (_node is not null)
            {
                await _node.WriteTraceAsync(file);
            }
        }
        catch (IOException error)
        {
            // The command may have failed: that is what its exit code tells.
            ErrorOutput.Write($"{_name} cannot be written: {error.Message}");
        }
    }
}
