using System.Diagnostics;
using System.Text.Json;

namespace UtpPunch.Bench;

/// <summary>A process that plays one end and tells what happens in lines of JSON. It ends with this object.</summary>
internal sealed class Child : IDisposable
{
    private readonly Process _process;

    private Child(Process process) => _process = process;

    /// <summary>Starts this very program in one of its <see cref="Roles"/>.</summary>
    public static Child OfThisProgram(params string[] arguments) =>
        Start("dotnet", [typeof(Child).Assembly.Location, .. arguments]);

    /// <summary>Starts one of the npm peers of the tests.</summary>
    public static Child OfNpm(params string[] arguments) =>
        Start("node", [Path.Combine(Repository.Root, "tests", "peers", "peer.js"), .. arguments]);

    /// <summary>Waits for the next event of this name; others are passed over.</summary>
    public async Task<JsonElement> WaitAsync(string name, TimeSpan patience)
    {
        using var timeout = new CancellationTokenSource(patience);

        while (await _process.StandardOutput.ReadLineAsync(timeout.Token) is { } line)
        {
            // libutp prints a word of its own now and then.
            if (line.StartsWith('{'))
            {
                using var json = JsonDocument.Parse(line);

                if (json.RootElement.GetProperty("event").GetString() == name)
                {
                    return json.RootElement.Clone();
                }
            }
        }

        throw new InvalidOperationException($"The process ended without '{name}': {await _process.StandardError.ReadToEndAsync(CancellationToken.None)}");
    }

    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }

    private static Child Start(string program, string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        return new Child(Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start"));
    }
}

/// <summary>Where the checkout is.</summary>
internal static class Repository
{
    public static string Root { get; } = Find();

    private static string Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "UtpPunch.sln")))
            {
                return folder.FullName;
            }
        }

        throw new DirectoryNotFoundException($"UtpPunch.sln is in no folder above {AppContext.BaseDirectory}");
    }
}
