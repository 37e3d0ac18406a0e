// `dotnet fsi build.fsx bench`: the parts of `utp bench`, and those that need more than the library and the platform.

using System.CommandLine;
using UtpPunch.Bench;
using UtpPunch.Cli;
using UtpPunch.Cli.Bench;

var parts = new Dictionary<string, Func<BenchSettings, IEnumerable<BenchGroup>>>(LocalParts.All)
{
    [Bulk.Name] = settings => Bulk.Groups(settings, Foreign.Pairs()),
    [Wan.Name] = settings => Wan.Groups(settings, Foreign.WanContestants()),
    [CorePart.Name] = CorePart.Groups,
    [SimPart.Name] = SimPart.Groups,
    [MeetPart.Name] = MeetPart.Groups,
    [WebPart.Name] = WebPart.Groups,
    [RoomPart.Name] = RoomPart.Groups,
};
var roles = new Dictionary<string, Role>(Roles.All)
{
    ["litenet-read"] = LiteNetRoles.ReadAsync,
    ["litenet-write"] = LiteNetRoles.WriteAsync,
    ["web-serve"] = WebRoles.ServeAsync,
    ["web-download"] = WebRoles.DownloadAsync,
    ["web-ask"] = WebRoles.AskAsync,
};
var words = new BenchOptions([.. parts.Keys, Micro.Name]);
var chosen = new Argument<string[]>("PART")
{
    Description = $"Part to measure: {string.Join(", ", parts.Keys)} (default: {LocalParts.Unasked}), {Micro.Name}.",
    Arity = ArgumentArity.ZeroOrMore,
};
var jsonFile = new Option<string?>("--json") { Description = "Write the results and all samples to this file.", HelpName = "FILE" };
var markdownFile = new Option<string?>("--markdown") { Description = "Write the tables to this file.", HelpName = "FILE" };
var root = new RootCommand("Measure UtpPunch beside TCP, UDP and other libraries.") { chosen, jsonFile, markdownFile, BenchCommand.CreatePeer(roles) };
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
        LocalParts.Groups(parts, named, settings),
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
