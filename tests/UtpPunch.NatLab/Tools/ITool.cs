using UtpPunch.NatLab.Network;

namespace UtpPunch.NatLab.Tools;

/// <summary>Something that punches behind every pair of NATs.</summary>
internal interface ITool : IDisposable
{
    /// <summary>What it is called.</summary>
    string Name { get; }

    /// <summary>Must this pair connect?</summary>
    bool Expects(int a, int b, TimeSpan late);

    /// <summary>Lets both hosts of a lab punch, B later than A by so much.</summary>
    Task<(Outcome A, Outcome B)> PunchAsync(Lab lab, string room, TimeSpan late, CancellationToken cancellationToken);
}
