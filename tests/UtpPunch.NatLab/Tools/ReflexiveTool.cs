using UtpPunch.NatLab.Network;

namespace UtpPunch.NatLab.Tools;

/// <summary>
/// The reference puncher, both sides in this process. A late B punches that long after the introduction.
/// </summary>
internal sealed class ReflexiveTool(World world, int primed) : ITool
{
    private readonly Introducer _introducer = new(world.Servers.Bind(World.First));

    public string Name => $"reflexive, {primed} probes with a low TTL";

    public bool Expects(int a, int b, TimeSpan late) => Oracle.Reflexive(a, b, IsClash(late));

    public async Task<(Outcome A, Outcome B)> PunchAsync(Lab lab, string room, TimeSpan late, CancellationToken cancellationToken)
    {
        var a = Side(lab.A, room, "A", TimeSpan.Zero);
        var b = Side(lab.B, room, "B", late);
        return (await a, await b);
    }

    public void Dispose() => _introducer.Dispose();

    // A's first probe with a normal TTL arrives 20 ms after it was sent. If B has not begun by then, it is unsolicited at B's NAT.
    private bool IsClash(TimeSpan late) => late > primed * ReflexivePuncher.Interval + TimeSpan.FromMilliseconds(20);

    private Task<Outcome> Side(Namespace host, string room, string name, TimeSpan hold) =>
        Task.Factory.StartNew(
            () =>
            {
                using var socket = host.Bind();
                return new ReflexivePuncher(socket, World.First, room, name)
                {
                    Primed = primed,
                    Hold = hold,
                }.Run();
            },
            TaskCreationOptions.LongRunning);
}
