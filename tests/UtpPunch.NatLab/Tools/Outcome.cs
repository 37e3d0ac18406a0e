namespace UtpPunch.NatLab.Tools;

/// <summary>How one side's punch ended.</summary>
internal enum Verdict
{
    Connected,

    /// <summary>It punched, in vain.</summary>
    Failed,

    /// <summary>It never came so far, or did not end: this says nothing of the NATs.</summary>
    Trouble,
}

/// <summary>What became of one side's punch, in words, and how long it took from the introduction.</summary>
internal sealed record Outcome(Verdict Verdict, string Words, TimeSpan Elapsed)
{
    public bool Succeeded => Verdict == Verdict.Connected;

    public static Outcome Success(string path, TimeSpan elapsed) => new(Verdict.Connected, path, elapsed);

    public static Outcome Failure(string words) => new(Verdict.Failed, words, default);

    public static Outcome Trouble(string words) => new(Verdict.Trouble, words, default);
}
