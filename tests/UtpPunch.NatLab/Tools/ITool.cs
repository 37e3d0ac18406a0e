using UtpPunch.NatLab.Network;

namespace UtpPunch.NatLab.Tools;

/// <summary>A tool that punches, to be run behind every pair of NATs.</summary>
internal interface ITool : IDisposable
{
    /// <summary>Its name.</summary>
    string Name { get; }

    /// <summary>Whether this pair must connect.</summary>
    bool Expects(int a, int b, TimeSpan late);

    /// <summary>Both hosts of a lab punch, B later than A.</summary>
    Task<(Outcome A, Outcome B)> PunchAsync(Lab lab, string room, TimeSpan late, CancellationToken cancellationToken);
}
