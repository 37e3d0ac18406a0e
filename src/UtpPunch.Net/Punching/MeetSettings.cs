using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>The options of a meeting or a punch, checked and copied: the caller may change the object afterwards.</summary>
internal sealed class MeetSettings
{
    private readonly long _punchTimeout;
    private readonly long _pathTimeout;
    private readonly long _timeout;
    private readonly bool _birthday;
    private readonly bool _reports;
    private readonly int _primingHops;
    private readonly PrivateAddressPolicy _privateAddresses;

    public MeetSettings(UtpPunchOptions options)
    {
        UtpNodeOptionsCheck.Positive(options.Timeout, nameof(options.Timeout), mayBeInfinite: true);
        UtpNodeOptionsCheck.Positive(options.PunchTimeout, nameof(options.PunchTimeout));
        UtpNodeOptionsCheck.Positive(options.PathTimeout, nameof(options.PathTimeout), mayBeInfinite: true, mayBeZero: true);
        UtpNodeOptionsCheck.Between(options.PrimingHops, 1, 255, nameof(options.PrimingHops));
        _privateAddresses = options.PrivateAddresses switch
        {
            UtpPrivateAddressPolicy.Shared => PrivateAddressPolicy.Shared,
            UtpPrivateAddressPolicy.Always => PrivateAddressPolicy.Always,
            UtpPrivateAddressPolicy.Never => PrivateAddressPolicy.Never,
            _ => throw new ArgumentOutOfRangeException(nameof(options), options.PrivateAddresses, "PrivateAddresses has no such value."),
        };
        if (options.Secret is { Length: 0 })
        {
            throw new ArgumentException("An empty secret is none: a variable without a value would open the room to everyone.", nameof(options.Secret));
        }

        Secret = options.Secret;
        Progress = options.Progress;
        MapsPort = options.UsePortMapping;
        _birthday = options.AllowBirthdayProbing;
        _reports = options.ReportOutcome;
        _primingHops = options.PrimingHops;
        _timeout = Clock.ToMicroseconds(options.Timeout);
        _punchTimeout = Clock.ToMicroseconds(options.PunchTimeout);
        _pathTimeout = Clock.ToMicroseconds(options.PathTimeout);
    }

    public string? Secret { get; }

    public bool MapsPort { get; }

    public IProgress<UtpPunchProgress>? Progress { get; }

    public bool Birthday => _birthday;

    public MeetPlan ToPlan(Endpoint[] servers, Owned key, Endpoint[] hosts, bool stays) => new(
        servers,
        key,
        hosts,
        stays,
        stays ? Time.never : _timeout,
        _punchTimeout,
        _birthday,
        _primingHops,
        _privateAddresses,
        _pathTimeout,
        _reports);
}
