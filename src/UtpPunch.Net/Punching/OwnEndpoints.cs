using System.Net;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>How STUN servers see a node: the endpoint of one address family, in the order in which the servers were asked, which shows how the NAT
/// assigns ports; and an endpoint of the other family.</summary>
internal sealed class OwnEndpoints
{
    /// <summary>Without STUN servers, nothing is known.</summary>
    public static OwnEndpoints None { get; } = new([]);

    private OwnEndpoints((Endpoint Server, Endpoint Mapped)[] answers)
    {
        // NATs are found with IPv4.
        var ofOne = answers.Where(it => EndpointModule.isIPv4(it.Mapped)).ToArray();
        ofOne = ofOne.Length > 0 ? ofOne : answers;
        Views = [.. ofOne.Select(it => it.Mapped)];
        Server = ofOne.Length > 0 ? ofOne[0].Server : null;
        Others = [.. answers.Select(it => it.Mapped).Where(it => EndpointModule.isIPv4(it) != EndpointModule.isIPv4(Observed)).Take(1)];
    }

    /// <summary>The server to which the mapping is kept.</summary>
    public Endpoint? Server { get; }

    public Endpoint[] Views { get; }

    public Endpoint Observed => Views.Length > 0 ? Views[0] : EndpointModule.nowhere;

    public Endpoint Last => Views.Length > 0 ? Views[^1] : EndpointModule.nowhere;

    public PortPrediction Mapping => OfferModule.mappingOf(Views);

    public Endpoint[] Others { get; }

    /// <summary>Asks all servers, in order. Once one has answered, the others have a second more.</summary>
    /// <param name="node">The node.</param>
    /// <param name="servers">The addresses of the servers.</param>
    /// <param name="timeout">The time for the first answer.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public static async Task<OwnEndpoints> FindAsync(
        UtpNode node, Endpoint[] servers, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var asked = servers.Select(server => AskAsync(node, server, timeout)).ToArray();
        var pending = asked.ToList();
        while (pending.Count > 0 && !asked.Any(IsAnswered))
        {
            pending.Remove(await Task.WhenAny(pending).WaitAsync(cancellationToken).ConfigureAwait(false));
        }

        try
        {
            await Task.WhenAll(asked).WaitAsync(TimeSpan.FromSeconds(1), cancellationToken).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            // Those that have answered suffice.
        }

        return new([.. servers.Zip(asked).Where(it => IsAnswered(it.Second)).Select(it => (it.First, it.Second.Result!.Value))]);
    }

    /// <summary>Asks one server; null when it does not answer.</summary>
    public static async Task<Endpoint?> AskAsync(UtpNode node, Endpoint server, TimeSpan timeout)
    {
        var command = new DiscoverCommand(new StunOptions(
            [server], default, Clock.ToMicroseconds(timeout), StunClientModule.Standard([server]).TestTimeout, behaviour: false));
        node.Engine.Post(command);
        try
        {
            return await command.Outcome.ConfigureAwait(false) is StunOutcome.Found found ? found.report.Mapped : null;
        }
        catch (UtpException)
        {
            return null;                                 // the node was closed, which the caller notices
        }
    }

    private static bool IsAnswered(Task<Endpoint?> asked) => asked.IsCompletedSuccessfully && asked.Result is not null;
}
