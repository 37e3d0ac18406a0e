using UtpPunch.NatLab.Network;

namespace UtpPunch.NatLab.Tools;

/// <summary>
/// samples/OwnSignalling: two processes whose offers this program carries from one to the other, and STUN servers. A makes the offer. A late B has
/// it that much later, and its answer takes as long again.
/// </summary>
internal sealed class OfferTool : ITool
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(100);
    private static readonly TimeSpan s_offerTimeout = TimeSpan.FromSeconds(30);

    private readonly Peer _servers;

    private OfferTool(World world) => _servers = new Peer(world.Servers, "dotnet", [
        "exec", Repository.Tool, "rendezvous", "--stun", "--json", .. Servers.SelectMany(server => new[] { "--bind", server })]);

    public string Name => "offers";

    private static string[] Servers { get; } = [$"{World.First}", $"{World.FirstOther}", $"{World.Second}"];

    /// <summary>Starts the servers and waits until they listen.</summary>
    public static async Task<OfferTool> StartAsync(World world)
    {
        var tool = new OfferTool(world);
        try
        {
            await tool._servers.SpeakAsync(s_offerTimeout);
            return tool;
        }
        catch
        {
            tool.Dispose();
            throw;
        }
    }

    public bool Expects(int a, int b, TimeSpan late) => Oracle.Predicting(a, b);

    public async Task<(Outcome A, Outcome B)> PunchAsync(Lab lab, string room, TimeSpan late, CancellationToken cancellationToken)
    {
        using var a = Start(lab.A, "offer");
        using var b = Start(lab.B, "answer");
        var offer = await a.FirstLineAsync(s_offerTimeout);
        await Task.Delay(late, cancellationToken);
        await b.SayAsync(offer);
        var answer = await b.FirstLineAsync(s_offerTimeout);
        await Task.Delay(late, cancellationToken);
        await a.SayAsync(answer);
        var outcomes = await Task.WhenAll(a.EndAsync(s_timeout, cancellationToken), b.EndAsync(s_timeout, cancellationToken));
        return (outcomes[0], outcomes[1]);
    }

    public void Dispose() => _servers.Dispose();

    private static Peer Start(Namespace place, string role) => new(place, "dotnet", ["exec", Repository.OfferSample, role, .. Servers]);
}
