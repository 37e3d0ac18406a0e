using System.Net;
using UtpPunch.Protocol;

namespace UtpPunch;

// Punching without a rendezvous server: the application carries the offers.
public sealed partial class UtpNode
{
    private const int MaxStunServers = 4;

    private static readonly TimeSpan s_stunTimeout = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Makes an offer, which the application sends to a peer by a channel of its own. The peer makes an answer for it
    /// (<see cref="CreateAnswerAsync"/>), and both sides call <see cref="PunchAsync"/> with the two offers. Two sides that make offers at the same
    /// time may do without an answer. It takes a round trip to the STUN servers, and at most 5 s; with <see cref="UtpPunchOptions.UsePortMapping"/> up to
    /// 2 s more.
    /// </summary>
    /// <param name="stunServers">At most four STUN servers (RFC 8489), which tell the public address of the node. With two or more, in the order in
    /// which they are asked, the port that a NAT takes next can be predicted. Without any, the peer is reached only at the addresses of the
    /// machine's interfaces, and at a mapped port.</param>
    /// <param name="options">The options, which are copied; <see langword="null"/> for the defaults. <see cref="UtpPunchOptions.Timeout"/> is how
    /// long a punch waits for the peer's first packet, and <see cref="UtpPunchOptions.PunchTimeout"/> how long it takes after that. Both sides need
    /// the same <see cref="UtpPunchOptions.Secret"/>, or none.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>The offer, which the caller disposes when the punch has begun, or when no peer has come.</returns>
    /// <exception cref="ArgumentException">There are more than four servers, one is not the address of a host, or an option is not
    /// valid.</exception>
    /// <exception cref="UtpException"><see cref="UtpError.DiscoveryFailed"/>: there are STUN servers, and none answers. Or no name has an address,
    /// or the node was closed.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    /// <exception cref="OperationCanceledException">The wait was cancelled.</exception>
    /// <example>
    /// <code>
    /// using var offer = await node.CreateOfferAsync([new DnsEndPoint("stun.example", 3478)]);
    /// await SendToPeerAsync(offer.Text);
    /// var punch = await node.PunchAsync(offer, await ReceiveFromPeerAsync());
    /// await using var stream = await punch.Path!.OpenAsync();
    /// </code>
    /// </example>
    public ValueTask<UtpPunchOffer> CreateOfferAsync(
        IReadOnlyList<EndPoint> stunServers, UtpPunchOptions? options = null, CancellationToken cancellationToken = default) =>
        OfferAsync(null, stunServers, options ?? new UtpPunchOptions(), cancellationToken);

    /// <summary>
    /// Makes the answer to an offer of a peer. This side begins to punch before the peer has the answer, and so its first packets do not reach the
    /// peer's NAT, where they could do harm, until a packet of the peer has arrived, or for as long as <see cref="UtpPunchOptions.Timeout"/>
    /// exceeds <see cref="UtpPunchOptions.PunchTimeout"/>, at most 60 s.
    /// </summary>
    /// <param name="peerOffer">The <see cref="UtpPunchOffer.Text"/> of the peer's offer.</param>
    /// <param name="stunServers">As of <see cref="CreateOfferAsync"/>.</param>
    /// <param name="options">As of <see cref="CreateOfferAsync"/>.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>The answer, which the caller disposes when the punch has begun.</returns>
    /// <exception cref="ArgumentException">As of <see cref="CreateOfferAsync"/>.</exception>
    /// <exception cref="UtpException"><see cref="UtpError.InvalidOffer"/>, <see cref="UtpError.OfferVersionNotSupported"/> or
    /// <see cref="UtpError.OfferNotAuthentic"/>, as far as it can be told before the punch; or as of <see cref="CreateOfferAsync"/>.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    /// <exception cref="OperationCanceledException">The wait was cancelled.</exception>
    /// <example>
    /// <code>
    /// var peerOffer = await ReceiveFromPeerAsync();
    /// using var answer = await node.CreateAnswerAsync(peerOffer, [new DnsEndPoint("stun.example", 3478)]);
    /// await SendToPeerAsync(answer.Text);
    /// var punch = await node.PunchAsync(answer, peerOffer);
    /// await using var stream = await punch.Path!.OpenAsync();
    /// </code>
    /// </example>
    public ValueTask<UtpPunchOffer> CreateAnswerAsync(
        string peerOffer, IReadOnlyList<EndPoint> stunServers, UtpPunchOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(peerOffer);
        return OfferAsync(peerOffer, stunServers, options ?? new UtpPunchOptions(), cancellationToken);
    }

    /// <summary>
    /// Punches with the peer whose offer the application has received. Both peers must call it, with the same two offers. They need not do so at the
    /// same time: each waits for <see cref="UtpPunchOptions.Timeout"/>. <see cref="UtpPunchedPath.OpenAsync"/> opens a stream over the path; as after a meeting at
    /// a rendezvous, one side opens it and the other one accepts it, and it goes on when the path is lost, as far as that is possible without
    /// a server.
    /// </summary>
    /// <param name="offer">An offer of this node, or an answer.</param>
    /// <param name="peerOffer">The <see cref="UtpPunchOffer.Text"/> of the peer's offer, or of its answer.</param>
    /// <param name="cancellationToken">Ends the punch.</param>
    /// <returns>The result. A punch that fails does not throw.</returns>
    /// <exception cref="ArgumentException">The offer was made by another node.</exception>
    /// <exception cref="UtpException"><see cref="UtpError.InvalidOffer"/>: the text is not an offer, was cut, or is this node's own.
    /// <see cref="UtpError.OfferVersionNotSupported"/>; <see cref="UtpError.OfferNotAuthentic"/>: the secrets differ. Or the node was
    /// closed.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    /// <exception cref="OperationCanceledException">The punch was cancelled.</exception>
    public async ValueTask<UtpPunchResult> PunchAsync(UtpPunchOffer offer, string peerOffer, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(offer);
        ArgumentNullException.ThrowIfNull(peerOffer);
        if (offer.Node != this)
        {
            throw new ArgumentException("The offer was made by another node.", nameof(offer));
        }

        ThrowIfUnusable();
        return await Spans.PunchAsync(async () =>
        {
            // With a secret, the derivation of a key takes a tenth of a second.
            var begin = await Task.Run(() => offer.Match(peerOffer), cancellationToken).ConfigureAwait(false);
            return await RunAsync(new MeetCommand(begin, isLegacy: false), cancellationToken).ConfigureAwait(false);
        }).ConfigureAwait(false);
    }

    private async ValueTask<UtpPunchOffer> OfferAsync(
        string? peerOffer, IReadOnlyList<EndPoint> stunServers, UtpPunchOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(stunServers);
        if (stunServers.Count > MaxStunServers)
        {
            throw new ArgumentException($"There are at most {MaxStunServers} STUN servers.", nameof(stunServers));
        }

        var peer = peerOffer is null ? null : OfferEnvelope.Parse(peerOffer);

        // Read before the first await: the caller may change the object afterwards.
        var settings = new MeetSettings(options);
        ThrowIfUnusable();
        var hosts = Hosts();
        EndPoint[] named = [.. stunServers];
        var keys = await Task.Run(() => new OfferKeys(settings.Secret), cancellationToken).ConfigureAwait(false);
        if (peer is not null)
        {
            keys.Check(peer);
        }

        var mapping = settings.MapsPort ? MappedAsync(cancellationToken) : Task.FromResult<Endpoint[]>([]);
        var seen = named.Length == 0 ? OwnEndpoints.None : await SeenByAsync(named, cancellationToken).ConfigureAwait(false);

        // The peer's addresses are probed through the NAT64 of this network.
        await Nat64Async(Nat64Discovery.Limit, cancellationToken).ConfigureAwait(false);

        // First, because only a few are told to the peer.
        hosts = [.. await mapping.ConfigureAwait(false), .. hosts];
        ThrowIfUnusable();
        return new UtpPunchOffer(this, settings, keys, seen, hosts, isAnswer: peer is not null);
    }

    private async Task<OwnEndpoints> SeenByAsync(EndPoint[] named, CancellationToken cancellationToken)
    {
        var servers = new List<Endpoint>();
        UtpException? failure = null;
        foreach (var name in named)
        {
            try
            {
                var addresses = await AddressesAsync(name, cancellationToken).ConfigureAwait(false);
                servers.AddRange(addresses.DistinctBy(EndpointModule.isIPv4));
            }
            catch (UtpException error)
            {
                failure = error;                         // another one may do
            }
        }

        if (servers.Count == 0)
        {
            throw failure!;
        }

        var seen = await OwnEndpoints.FindAsync(this, [.. servers], s_stunTimeout, cancellationToken).ConfigureAwait(false);
        ThrowIfUnusable();
        return seen.Server is null ? throw Failure.Of(StunFailure.NewNoAnswer(Clock.ToMicroseconds(s_stunTimeout)), named[^1]).ToException() : seen;
    }
}
