using System.Diagnostics;

namespace UtpPunch.Tests;

/// <summary>One of the samples: its text, which a page quotes, and the program that was built of it.</summary>
internal sealed class Sample(string name)
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(30);

    // The tests are in tests/NAME/bin/CONFIGURATION/FRAMEWORK.
    private static readonly DirectoryInfo Framework = new(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar));
    private static readonly DirectoryInfo Configuration = Framework.Parent!;
    private static readonly string Root = Configuration.Parent!.Parent!.Parent!.Parent!.FullName;
    private readonly string _folder = Path.Combine(Root, "samples", name);

    /// <summary>A page has the text of a file behind a line that names it, letter by letter.</summary>
    public async Task IsQuotedAsync(string file = "Program.cs", string page = "README.md")
    {
        const string Opening = "```csharp\n";
        var marker = $"<!-- samples/{name}/{file} -->";
        var text = await TextAsync(Path.Combine(Root, page));
        var place = text.IndexOf(marker, StringComparison.Ordinal);
        Check.That(place >= 0, $"{page} has the line {marker}");
        var block = text[(place + marker.Length)..].TrimStart('\n');
        Check.That(block.StartsWith(Opening, StringComparison.Ordinal), $"a block of C# follows the line {marker}");
        block = block[Opening.Length..];
        Check.Equal(await TextAsync(Path.Combine(_folder, file)), block[..(block.IndexOf("\n```", StringComparison.Ordinal) + 1)]);
    }

    /// <summary>Runs it. It must succeed and write nothing to standard error.</summary>
    /// <returns>The lines that it has written, and the id of its process.</returns>
    public Task<(string[] Lines, int ProcessId)> RunAsync(params string[] arguments) => OutputOfAsync(Start(arguments));

    /// <summary>Runs it with a secret in its environment.</summary>
    public Task<(string[] Lines, int ProcessId)> RunWithSecretAsync(string secret, params string[] arguments) =>
        OutputOfAsync(Start(arguments, secret));

    /// <summary>Runs two of it, each of which gets the first line of the other.</summary>
    public async Task<((string[] Lines, int ProcessId) One, (string[] Lines, int ProcessId) Other)> RunPairAsync(string[] one, string[] other)
    {
        var first = Start(one, hasInput: true);
        var second = Start(other, hasInput: true);
        try
        {
            var firstLine = await PassLineAsync(first, second);
            var secondLine = await PassLineAsync(second, first);
            var runs = await Task.WhenAll(OutputOfAsync(first), OutputOfAsync(second));
            return (([firstLine, .. runs[0].Lines], runs[0].ProcessId), ([secondLine, .. runs[1].Lines], runs[1].ProcessId));
        }
        catch (Exception error) when (error is TimeoutException or IOException)
        {
            first.Kill();
            second.Kill();
            throw;
        }
    }

    private static async Task<string> PassLineAsync(Process from, Process to)
    {
        var line = await from.StandardOutput.ReadLineAsync().WaitAsync(Timeout);
        Check.That(line is not null, "a first line");
        await to.StandardInput.WriteLineAsync(line);
        await to.StandardInput.FlushAsync();
        return line!;
    }

    /// <summary>Runs it as a process that may not make a system call.</summary>
    public async Task<(string[] Lines, int ProcessId)> RunWithoutAsync(int systemCall)
    {
        var starting = new TaskCompletionSource<Process>(TaskCreationOptions.RunContinuationsAsynchronously);
        var thread = new Thread(() =>
        {
            try
            {
                SystemCall.ForbidToThisThread(systemCall);
                starting.SetResult(Start([]));
            }
            catch (Exception error)
            {
                starting.SetException(error);
            }
        });
        thread.Start();
        return await OutputOfAsync(await starting.Task);
    }

    private Process Start(string[] arguments, string? secret = null, bool hasInput = false)
    {
        var assembly = Path.Combine(_folder, "bin", Configuration.Name, Framework.Name, $"{name}.dll");
        Check.That(File.Exists(assembly), $"{assembly} is there (build the solution first)");
        var start = new ProcessStartInfo("dotnet", ["exec", assembly, .. arguments])
        {
            RedirectStandardInput = hasInput,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        if (secret is not null)
        {
            start.Environment["UTP_SECRET"] = secret;
        }

        return Process.Start(start)!;
    }

    private static async Task<(string[] Lines, int ProcessId)> OutputOfAsync(Process running)
    {
        using var sample = running;
        try
        {
            var output = sample.StandardOutput.ReadToEndAsync();
            var errors = sample.StandardError.ReadToEndAsync();
            await sample.WaitForExitAsync().WaitAsync(Timeout);
            Check.Equal("", await errors);
            Check.Equal(0, sample.ExitCode);
            return ((await output).Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries), sample.Id);
        }
        finally
        {
            sample.Kill();
        }
    }

    private static async Task<string> TextAsync(string file) => (await File.ReadAllTextAsync(file)).ReplaceLineEndings("\n");
}
