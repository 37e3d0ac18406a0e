using System.Net;

namespace UtpPunch;

/// <summary>The options of a punch with a peer that is met at a rendezvous server (<see cref="UtpRendezvousClient"/>), or by offers
/// (<see cref="UtpNode.CreateOfferAsync"/>). A timeout is at least 1 ms.</summary>
/// <example><code>
/// var options = new UtpPunchOptions { Secret = secret, AllowBirthdayProbing = true, Timeout = TimeSpan.FromMinutes(5) };
/// </code></example>
public sealed class UtpPunchOptions
{
    /// <summary>Gets or sets a secret that only the two peers know. It is never sent to the server. A host that does not know it can
    /// neither join the room, nor read the addresses of the peers in what passes through the server, nor take part in the punch. It does
    /// not encrypt or authenticate the stream. An empty one is refused.</summary>
    /// <value>The default is <see langword="null"/>: any host that knows the name of the room can join it.</value>
    public string? Secret { get; set; }

    /// <summary>Gets or sets the time to wait for a peer. A punch in which nothing of the peer was heard, and an introduction whose offer is
    /// not authentic, do not end the meeting before this time: the node waits for another peer.</summary>
    /// <value>The default is 60 s. It may be infinite.</value>
    public TimeSpan Timeout { get; set; } = TimeSpan.FromMinutes(1);

    /// <summary>Gets or sets the time that the punch may take, from the introduction on.</summary>
    /// <value>The default is 10 s. Nearly all punches that succeed take less than 2 s.</value>
    public TimeSpan PunchTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>Gets or sets a value that indicates whether the punch may open 256 sockets, and send 2048 packets to random ports, if the NAT
    /// of one side takes unpredictable ports and no other method can work. Both sides must allow it.</summary>
    /// <value>The default is <see langword="false"/>, because some routers have room for few mappings.</value>
    public bool AllowBirthdayProbing { get; set; }

    /// <summary>Gets or sets the hop limit of the first packets. They must pass the NATs of this side and expire before those of the
    /// peer.</summary>
    /// <value>The default is 4. The range is 1 to 255.</value>
    public int PrimingHops { get; set; } = 4;

    /// <summary>Gets or sets whether private addresses that the peer names are tried. Other hosts may have them in this network.</summary>
    /// <value>The default is <see cref="UtpPrivateAddressPolicy.Shared"/>. <see cref="UtpPrivateAddressPolicy.Always"/> is needed between networks that are
    /// routed to each other, such as those of two offices, if the rendezvous server sees them at different addresses.</value>
    public UtpPrivateAddressPolicy PrivateAddresses { get; set; }

    /// <summary>Gets or sets a value that indicates whether the router is asked to map the port of the node
    /// (<see cref="UtpNode.MapPortAsync"/>), and the peer may try the mapped endpoint. A mapping on one side is enough, whatever the NATs do
    /// otherwise. It is kept for later meetings and deleted when the node is closed. A router that does not answer delays the meeting by at
    /// most 2 s; one that refuses does not fail it. The mappings that the application has made are used instead, if there are any.</summary>
    /// <value>The default is <see langword="false"/>.</value>
    public bool UsePortMapping { get; set; }

    /// <summary>Gets or sets how long the streams of the path wait for another one when it is lost: when a NAT forgets it, when one of the two
    /// machines gets another address or sleeps. Until then <see cref="UtpStream.IsSearching"/> is true; then the streams fail with
    /// <see cref="UtpError.AcknowledgementTimeout"/>. The peer must be a node of this library.</summary>
    /// <value>The default is 180 s. It may be infinite. <see cref="TimeSpan.Zero"/>: the streams stay on their path, and end as any other
    /// stream does.</value>
    public TimeSpan PathTimeout { get; set; } = TimeSpan.FromSeconds(180);

    /// <summary>Gets or sets a value that indicates whether the rendezvous server is told how each punch with a peer that it has introduced has ended: with
    /// which kind of path, after how many milliseconds, and what the NATs of both peers do. The report is one datagram of 67 bytes without an answer; it
    /// names no peer. It lets the operator of the server see which NATs cannot be passed. A punch without a server is not reported.</summary>
    /// <value>The default is <see langword="false"/>: the server does not learn whether two peers have reached each other.</value>
    public bool ReportOutcome { get; set; }

    /// <summary>Gets or sets what is told of the progress of the punch: first that the node is registered at the rendezvous server, then that a peer was
    /// introduced, in this order and before the result. It is called on the thread pool, one call at a time; what it throws is logged
    /// (<see cref="UtpNodeOptions.LoggerFactory"/>).</summary>
    /// <value>The default is <see langword="null"/>. A punch without a server has no progress to tell.</value>
    public IProgress<UtpPunchProgress>? Progress { get; set; }

    /// <summary>Copies the options, so that another punch can differ in a few.</summary>
    /// <returns>New options with the same values.</returns>
    public UtpPunchOptions Clone() => (UtpPunchOptions)MemberwiseClone();
}
