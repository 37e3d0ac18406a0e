using System.Diagnostics;
using System.Net;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// What one peer tells another one so that both can punch without a rendezvous server: its addresses, how its NAT assigns ports, and a fresh
/// public key. The application sends <see cref="Text"/> to the peer, by whatever channel it has: its own server, a chat, a QR code. A host
/// that reads the channel can see the addresses, unless there is a secret, but cannot take part in the punch; one that can replace offers can do so,
/// unless there is a secret (<see cref="UtpPunchOptions.Secret"/>).
/// </summary>
/// <remarks>
/// An offer may be used for any number of peers. Until it is disposed or its node is closed, and for ten minutes at most, a STUN server is asked
/// every 20 s, so that the NAT keeps the mapping that the offer names. Punches that have begun do not need it any more.
/// </remarks>
[DebuggerDisplay("{Text}")]
public sealed class UtpPunchOffer : IDisposable
{
    // Ten minutes.
    private const int Refreshes = 30;

    // RFC 4787, REQ-5: a mapping lasts for two minutes, but many NATs forget theirs after 30 s.
    private static readonly TimeSpan s_refresh = TimeSpan.FromSeconds(20);

    private readonly OfferKeys _keys;
    private readonly OwnEndpoints _seen;
    private readonly OfferEnvelope _envelope;
    private readonly MeetSettings _settings;
    private readonly Owned _contents;
    private readonly Endpoint[] _hosts;
    private readonly Timer? _refreshing;
    private int _refreshes;

    internal UtpPunchOffer(UtpNode node, MeetSettings settings, OfferKeys keys, OwnEndpoints seen, Endpoint[] hosts, bool isAnswer)
    {
        Node = node;
        _settings = settings;
        _keys = keys;
        _seen = seen;
        _hosts = [.. hosts.Concat(seen.Others).Distinct()];
        var nonce = new Owned(System.Security.Cryptography.RandomNumberGenerator.GetBytes(PunchWire.TagLength));
        _contents = OfferModule.write(new Offer(nonce, settings.Birthday, seen.Mapping, seen.Observed, seen.Last, _hosts));
        _envelope = keys.Wrap(_contents.Span, isAnswer);
        if (seen.Server is not null)
        {
            _refreshing = new Timer(static offer => ((UtpPunchOffer)offer!).Refresh(), this, s_refresh, s_refresh);
        }
    }

    /// <summary>Gets the offer as text: base64url (RFC 4648, section 5), about 400 characters without line breaks. White space around it, as mail
    /// programs add it, does no harm.</summary>
    public string Text => _envelope.Text;

    /// <summary>Gets whether it was made for an offer of the peer (<see cref="UtpNode.CreateAnswerAsync"/>).</summary>
    public bool IsAnswer => _envelope.IsAnswer;

    /// <summary>Gets the address of the node as the STUN servers see it; <see langword="null"/> if none was asked.</summary>
    public IPEndPoint? ObservedEndPoint => _seen.Views.Length > 0 ? Addresses.ToIPEndPoint(_seen.Observed) : null;

    /// <summary>Gets how the NAT of this side assigns ports. Two STUN servers are needed to tell.</summary>
    public UtpNatPortAssignment PortAssignment => UtpPunchResult.ToPublic(_seen.Mapping);

    internal UtpNode Node { get; }

    /// <summary>Gets the text of the offer.</summary>
    /// <returns><see cref="Text"/>.</returns>
    public override string ToString() => Text;

    /// <summary>Stops keeping the mapping of the NAT. The offer can still be used.</summary>
    public void Dispose() => _refreshing?.Dispose();

    /// <summary>The event that starts the punch with a peer.</summary>
    /// <exception cref="UtpException">The offer of the peer is of no use.</exception>
    internal Func<int, Event> Match(string peerOffer)
    {
        var peer = OfferEnvelope.Parse(peerOffer);
        var (contents, room) = _keys.Open(_envelope, peer);
        if (OfferModule.read(new Borrowed(contents)).IsNone)
        {
            throw OfferFailures.Invalid("Its contents cannot be read.");
        }

        var plan = _settings.ToPlan([], room, _hosts, stays: false);
        var answers = IsAnswer && !peer.IsAnswer;
        return taskId => Event.NewPunchOffered(taskId, plan, _contents, new Owned(contents), answers);
    }

    private void Refresh()
    {
        if (++_refreshes > Refreshes || Node.Engine.Completion.IsCompleted)
        {
            Dispose();
            return;
        }

        _ = OwnEndpoints.AskAsync(Node, _seen.Server!.Value, TimeSpan.FromSeconds(3));
    }
}
