using System.Text.Json;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>`utp bench` with small amounts: every case runs to its end. The results are not checked.</summary>
public static class ToolBench
{
    private static readonly TimeSpan Timeout = TimeSpan.FromMinutes(2);

    [Fact("utp bench runs all cases of all parts to the end, and writes their samples as JSON")]
    public static async Task Runs()
    {
        using var tool = ToolProcess.Start("bench --rounds 1 --seconds 0.05 --json");
        Check.Equal(0, await tool.ExitAsync(Timeout), $"{tool}");
        using var result = JsonDocument.Parse(await tool.TextAsync());
        Check.Equal(Environment.ProcessorCount, result.RootElement.GetProperty("machine").GetProperty("cores").GetInt32());
        var groups = result.RootElement.GetProperty("groups").EnumerateArray().ToArray();
        string[] parts = ["bulk", "pipes", "telemetry", "pingpong", "connects", "idle", "fairness", "cliff"];
        Check.Equal(string.Join(' ', parts), string.Join(' ', groups.Select(group => group.GetProperty("part").GetString()).Distinct()));
        foreach (var one in groups.SelectMany(group => group.GetProperty("cases").EnumerateArray()))
        {
            Check.That(!one.TryGetProperty("failure", out _), $"{one}");
            var measures = one.EnumerateObject().Where(member => member.Value.ValueKind == JsonValueKind.Object).ToArray();
            Check.That(measures.Length > 0 && measures.All(measure => measure.Value.GetProperty("samples").GetArrayLength() == 1), $"{one}");
        }
    }

    [Fact("utp bench between two machines: data in both directions, and ping-pong")]
    public static async Task Dials()
    {
        using var server = ToolProcess.Start("bench --listen --bind 127.0.0.1:0");
        var port = (await server.WhereAsync()).Port;
        using var tool = ToolProcess.Start($"bench 127.0.0.1 {port} --rounds 2 --seconds 0.1");
        Check.Equal(0, await tool.ExitAsync(Timeout), $"{tool} {server}");
        var output = await tool.TextAsync();
        foreach (var wanted in new[] { "to the other machine", "from it", "async" })
        {
            Check.That(output.Contains(wanted, StringComparison.Ordinal), $"'{wanted}' is in:\n{output}");
        }

        Check.That(output.Split('\n').All(line => line.Length <= 120), $"nothing is wider than 120 columns in:\n{output}");
        server.Interrupt();
        Check.Equal(130, await server.ExitAsync(), $"{server}");
    }

    [Fact("utp bench refuses invalid options, code 2")]
    public static async Task Refuses()
    {
        foreach (var (words, reason) in new[]
        {
            ("--part speed", "'speed' is not a part"),
            ("--seconds 0", "'0' is not a number of seconds"),
            ("127.0.0.1 9000 --part bulk", "--part takes no HOST"),
            ("--listen 127.0.0.1 9000", "--listen takes no HOST"),
        })
        {
            using var tool = ToolProcess.Start($"bench {words}");
            var errorLine = await tool.FailAsync(2);
            Check.That(errorLine.Contains(reason, StringComparison.Ordinal), errorLine);
        }
    }
}
