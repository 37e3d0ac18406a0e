using System.Globalization;
using UtpPunch.NatLab.Network;

namespace UtpPunch.NatLab.Tools;

/// <summary>
/// The baseline: `punch()` of npm's utp-punch, in a Node process for each host. A late B punches that long after the introduction.
/// </summary>
internal sealed class NpmTool(World world) : ITool
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(60);
    private static readonly string s_script = Path.Combine(Repository.Root, "tests", "peers", "punch.js");

    private readonly Introducer _introducer = new(world.Servers.Bind(World.First));

    public string Name => "utp-punch of npm";

    public bool Expects(int a, int b, TimeSpan late) => Oracle.UtpPunch(a, b, late > TimeSpan.Zero);

    public async Task<(Outcome A, Outcome B)> PunchAsync(Lab lab, string room, TimeSpan late, CancellationToken cancellationToken)
    {
        using var a = Punch(lab.A, room, "A", TimeSpan.Zero);
        using var b = Punch(lab.B, room, "B", late);
        var outcomes = await Task.WhenAll(a.EndAsync(s_timeout, cancellationToken), b.EndAsync(s_timeout, cancellationToken));
        return (outcomes[0], outcomes[1]);
    }

    public void Dispose() => _introducer.Dispose();

    private static Peer Punch(Namespace host, string room, string side, TimeSpan hold) =>
        new(host, "node", s_script, $"{World.First.Address}", $"{World.First.Port}", room, side,
            hold.TotalMilliseconds.ToString(CultureInfo.InvariantCulture));
}
