namespace UtpPunch;

/// <summary>The names and values of attributes, which metrics and spans share. None has more values than docs/telemetry.md lists.</summary>
internal static class AttributeNames
{
    public const string ErrorType = "error.type";
    public const string Outcome = "utp.outcome";
    public const string PathKind = "utp.path.kind";
    public const string PathEvent = "utp.path.event";
    public const string OwnNat = "utp.nat.own";
    public const string PeerNat = "utp.nat.peer";
    public const string Stage = "utp.punch.stage";

    public static string NameOf(UtpError error) => error.ToString();

    /// <summary>The error of a failure, or the type of another exception.</summary>
    public static string NameOf(Exception error) => error switch
    {
        UtpException failure => NameOf(failure.Error),
        OperationCanceledException => nameof(OperationCanceledException),
        _ => error.GetType().Name,
    };

    public static string NameOf(UtpPathKind kind) => kind switch
    {
        UtpPathKind.Host => "host",
        UtpPathKind.Observed => "observed",
        UtpPathKind.Predicted => "predicted",
        UtpPathKind.Reflexive => "reflexive",
        UtpPathKind.Birthday => "birthday",
        UtpPathKind.Mapped => "mapped",
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, null),
    };

    public static string NameOf(UtpNatPortAssignment nat) => nat switch
    {
        UtpNatPortAssignment.EndpointIndependent => "endpoint_independent",
        UtpNatPortAssignment.Sequential => "sequential",
        UtpNatPortAssignment.Random => "random",
        _ => "unknown",
    };

    /// <summary>The outcome of a punch. One that was cancelled tells nothing of the NATs.</summary>
    public static string OutcomeOf(UtpPunchStage stage) => stage switch
    {
        UtpPunchStage.Open => "open",
        UtpPunchStage.Cancelled => "cancelled",
        _ => "failed",
    };

    /// <summary>The error of a punch that has not found a path.</summary>
    public static string ErrorOf(UtpPunchStage stage) =>
        stage == UtpPunchStage.Cancelled ? nameof(OperationCanceledException) : NameOf(Failure.ErrorOf(stage));
}
