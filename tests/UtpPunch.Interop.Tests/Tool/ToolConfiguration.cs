using System.Net;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>Defaults from the file `utp/config.json` in the folder of configurations.</summary>
public static class ToolConfiguration
{
    private const int Failure = 1;
    private const int Usage = 2;
    private const int NoPeer = 3;

    private static readonly (string Text, string Answer)[] s_mistakes =
    [
        ("[]", "it is not a JSON object"),
        ("{ \"timeout\": 5,\n \"bind\" }", "line 2 is not JSON"),
        ("""{ "timeot": 5 }""", "there is no key 'timeot'; did you mean 'timeout'?"),
        ("""{ "commands": { "cat": { "room": "x" } } }""", "there is no key 'commands.cat.room'"),
        ("""{ "commands": { "cta": { "timeout": 5 } } }""", "commands.cta: there is no such command; did you mean 'cat'?"),
        ("""{ "commands": { "cat": 5 } }""", "commands.cat: it is not an object"),
        ("""{ "commands": [] }""", "commands: it is not an object"),
        ("""{ "timeout": "soon" }""", "timeout: 'soon' is not a number of seconds"),
        ("""{ "timeout": 5, "commands": { "cat": { "timeout": "soon" } } }""", "commands.cat.timeout: 'soon' is not a number of seconds"),
        ("""{ "timeout": true }""", "timeout: it is a text or a number"),
        ("""{ "birthday": "yes" }""", "birthday: it is true or false"),
        ("""{ "bind": "" }""", "bind: it is empty"),
        ("""{ "rendezvous": ["a:1", "a:b:c"] }""", "rendezvous: 'a:b:c' is not HOST:PORT"),
        ("""{ "secret": "x" }""", "secret: a secret does not belong here; secret-file"),
        ($"{{ \"bind\": \"{new string('x', 70_000)}\" }}", "it has more than 64 KiB"),
    ];

    [Fact("a wrong configuration is one line that names the file and the key, code 2", Parallel = true)]
    public static Task Mistakes() =>
        Parallel.ForEachAsync(s_mistakes, new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (it, _) => await MistakeAsync(it.Text, it.Answer));

    [Fact("the secret file and the rendezvous of a configuration are used; the command line and UTP_SECRET come first", Parallel = true)]
    public static async Task Meeting()
    {
        using var files = new Folder();
        using var server = await ToolProcess.IntroduceAsync();
        files.Write("secret", "a secret of thirty-two characters");
        files.Configure($$"""{ "rendezvous": "{{server.EndPoint}}", "secret-file": "secret", "connect-timeout": 20, /* for all */ }""");
        using var one = ToolProcess.StartConfigured(files.Root, "punch --room den --json");
        using var other = ToolProcess.StartConfigured(files.Root, "punch --room den --json");
        Check.Equal(0, await one.ExitAsync());
        Check.Equal(0, await other.ExitAsync());

        // The command line has another server, which does not answer, and a missing file of the secret.
        using var elsewhere = ToolProcess.StartConfigured(files.Root, "punch --room den --rendezvous 127.0.0.1:1 --connect-timeout 0.2");
        Check.Equal(NoPeer, await elsewhere.ExitAsync());
        using var noFile = ToolProcess.StartConfigured(files.Root, $"punch --room den --secret-file {files.At("none")}");
        Check.That((await noFile.FailAsync(Failure)).Contains("none cannot be read", StringComparison.Ordinal));
    }

    [Fact("defaults change nothing of a command that cannot use them, and those of a command are only its own", Parallel = true)]
    public static async Task Unconcerned()
    {
        using var files = new Folder();
        files.Configure("""{ "rendezvous": "192.0.2.1:1", "commands": { "cat": { "dialect": "utp-punch" }, "sim": { "json": true } } }""");
        using var wrong = ToolProcess.StartConfigured(files.Root, "cat");
        Check.That((await wrong.FailAsync(Usage)).Contains("there is no key 'commands.sim.json'", StringComparison.Ordinal));

        // --listen takes neither a rendezvous nor a --connect-timeout, on the command line.
        files.Configure("""{ "rendezvous": "192.0.2.1:1", "connect-timeout": 5, "map": true, "commands": { "cat": { "bind": "127.0.0.1:0", "stats": true } } }""");
        using var listener = ToolProcess.StartConfigured(files.Root, "cat --listen");
        await using var node = UtpNode.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        await using var stream = await node.ConnectAsync(await listener.WhereAsync());
        Check.Equal(IPAddress.Loopback, listener.EndPoint.Address);
        listener.EndInput();
        stream.CompleteWrites();
        Check.Equal(0, await listener.ExitAsync());
        Check.That(listener.ErrorOutput.StartsWith("sent 0 bytes", StringComparison.Ordinal), listener.ErrorOutput);
        using var help = ToolProcess.StartConfigured(files.Root, "--help");
        Check.Equal(0, await help.ExitAsync());
        Check.That((await help.TextAsync()).Contains(files.At("utp/config.json"), StringComparison.Ordinal), "help names the file");
    }

    private static async Task MistakeAsync(string text, string what)
    {
        using var files = new Folder();
        files.Configure(text);
        using var tool = ToolProcess.StartConfigured(files.Root, "cat --listen --bind 127.0.0.1:0");
        var line = await tool.FailAsync(Usage);
        Check.That(line.StartsWith($"utp: {files.At("utp/config.json")}: {what}", StringComparison.Ordinal), $"{text} is answered with '{what}', not with '{line}'");
    }

    /// <summary>A folder of configurations.</summary>
    private sealed class Folder : IDisposable
    {
        public string Root { get; } = Directory.CreateTempSubdirectory("utp-config-").FullName;

        public string At(string name) => Path.Combine(Root, name);

        public void Configure(string text) => Write("config.json", text);

        public void Write(string name, string text)
        {
            Directory.CreateDirectory(At("utp"));
            var file = At($"utp/{name}");
            File.WriteAllText(file, text);
            if (!OperatingSystem.IsWindows())
            {
                File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            }
        }

        public void Dispose() => Directory.Delete(Root, recursive: true);
    }
}
