namespace UtpPunch.NatLab.Tools;

/// <summary>How one side's punch ended.</summary>
internal enum Verdict
{
    Connected,

    /// <summary>It punched, without success.</summary>
    Failed,

    /// <summary>It did not begin to punch, or did not end: nothing is known about the NATs.</summary>
    Trouble,
}

/// <summary>The result of one side's punch, a description, and the time since the introduction.</summary>
internal sealed record Outcome(Verdict Verdict, string Words, TimeSpan Elapsed)
{
    public bool Succeeded => Verdict == Verdict.Connected;

    public static Outcome Success(string path, TimeSpan elapsed) => new(Verdict.Connected, path, elapsed);

    public static Outcome Failure(string words) => new(Verdict.Failed, words, default);

    public static Outcome Trouble(string words) => new(Verdict.Trouble, words, default);
}
