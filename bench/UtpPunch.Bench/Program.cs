// `dotnet fsi build.fsx bench`: what `utp bench` measures, and what takes more than the library and the platform.

using System.CommandLine;
using UtpPunch.Bench;
using UtpPunch.Cli;
using UtpPunch.Cli.Bench;

var parts = new Dictionary<string, Func<BenchSettings, IEnumerable<Contest>>>(LocalParts.All)
{
    [Bulk.Name] = settings => Bulk.Contests(settings, Foreign.Pairs()),
    [CorePart.Name] = CorePart.Contests,
    [SimPart.Name] = SimPart.Contests,
    [MeetPart.Name] = MeetPart.Contests,
};
var roles = new Dictionary<string, Role>(Roles.All)
{
    ["litenet-read"] = LiteNetRoles.ReadAsync,
    ["litenet-write"] = LiteNetRoles.WriteAsync,
};
var words = new BenchOptions([.. parts.Keys, Micro.Name]);
var chosen = new Argument<string[]>("PART")
{
    Description = $"What to measure: {string.Join(", ", parts.Keys)}, and, only when named, {Micro.Name}: the core's own parts.",
    Arity = ArgumentArity.ZeroOrMore,
};
var jsonFile = new Option<string?>("--json") { Description = "Write all samples into this file.", HelpName = "FILE" };
var markdownFile = new Option<string?>("--markdown") { Description = "Write the tables into this file.", HelpName = "FILE" };
var root = new RootCommand("Measures how fast UtpPunch is, next to others.") { chosen, jsonFile, markdownFile, BenchCommand.CreatePeer(roles) };
words.AddTo(root);
root.SetAction(async parsed =>
{
    var settings = words.Read(parsed);
    var named = words.PartsOf(parsed, parsed.GetValue(chosen) ?? []);
    if (named.Contains(Micro.Name))
    {
        Micro.Run();
    }

    return named is [Micro.Name] ? ExitCodes.Success : await LocalBench.RunAsync(
        settings,
        parts.Where(part => named.Length == 0 || named.Contains(part.Key)).SelectMany(part => part.Value(settings)),
        report =>
        {
            report.WriteText(Console.Out);
            Write(parsed.GetValue(jsonFile), report.ToJson);
            Write(parsed.GetValue(markdownFile), report.ToMarkdown);
        });
});

try
{
    return await root.Parse(args).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
}
catch (ToolException error)
{
    ErrorOutput.Write(error.Message);
    return error.ExitCode;
}

static void Write(string? file, Func<string> text)
{
    if (file is not null)
    {
        File.WriteAllText(file, text());
    }
}
