using System.Diagnostics;
using System.Globalization;
using UtpPunch.Attacks.Wire;
using UtpPunch.NatLab.Network;

namespace UtpPunch.Attacks.Hosts;

/// <summary>
/// A process that uses the library in a namespace, and the commands that it obeys: one line each, answered by one line of `key=value` words.
/// <see cref="HostProgram"/> is its inside.
/// </summary>
internal sealed class Host : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(90);

    private readonly Process _process;
    private readonly string _ip;
    private readonly SemaphoreSlim _one = new(1);
    private readonly Task<string> _errors;

    public Host(Namespace place, string ip, string program, int? cores)
    {
        _ip = ip;
        var processors = cores is { } number ? $"DOTNET_PROCESSOR_COUNT={number}" : "UTP_HOST=1";
        _process = place.Start("env", processors, "dotnet", "exec", program, "host");
        _errors = _process.StandardError.ReadToEndAsync();
    }

    public int Id => _process.Id;

    /// <summary>The endpoint of its node or server, once that is bound.</summary>
    public Address Address { get; private set; }

    public string Ip => _ip;

    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }

    /// <summary>Binds a node, with options such as `MaxConnections=10`.</summary>
    public async Task BindAsync(params string[] options) =>
        Address = Address.Of(_ip, (int)(await AskAsync($"bind {_ip} {string.Join(' ', options)}")).Number("port"));

    public async Task RendezvousAsync() =>
        Address = Address.Of(_ip, (int)(await AskAsync($"rendezvous {_ip}")).Number("port"));

    /// <summary>Starts a <see cref="Responder"/>.</summary>
    public async Task<Address> RespondAsync() => Address.Of(_ip, (int)(await AskAsync($"respond {_ip}")).Number("port"));

    public Task<Answer> StatusAsync() => AskAsync("status");

    /// <summary>Obeys a command; throws if it fails.</summary>
    public async Task<Answer> AskAsync(string command, TimeSpan? limit = null)
    {
        await _one.WaitAsync();
        try
        {
            await _process.StandardInput.WriteLineAsync(command);
            await _process.StandardInput.FlushAsync();
            var line = await _process.StandardOutput.ReadLineAsync().WaitAsync(limit ?? s_limit);
            return line switch
            {
                null => throw new IOException($"The host has ended at '{command}': {await _errors}"),
                _ when line.StartsWith("error ", StringComparison.Ordinal) => throw new IOException($"'{command}': {line[6..]}"),
                _ => new Answer(line),
            };
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"'{command}' takes more than {(limit ?? s_limit).TotalSeconds:F0} s");
        }
        finally
        {
            _one.Release();
        }
    }
}

/// <summary>The words of an answer.</summary>
internal sealed class Answer(string line)
{
    private readonly Dictionary<string, string> _words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries)
        .Select(word => word.Split('=', 2))
        .Where(pair => pair.Length == 2)
        .ToDictionary(pair => pair[0], pair => pair[1]);

    public double Number(string key) => double.Parse(_words[key], CultureInfo.InvariantCulture);

    public string Text(string key) => _words[key];

    public override string ToString() => line;
}
