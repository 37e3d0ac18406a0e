namespace UtpPunch.NatLab;

/// <summary>Which pairs of NATs must connect, measured once with other programs on the same rules.</summary>
internal static class Oracle
{
    /// <summary>Peer-reflexive punching, A begins first.</summary>
    private static readonly string[] s_reflexive =
    [
        "YYYYY...Y.",
        "YYYYY...Y.",
        "YYYYYYYYYY",
        "YYYYYYYYYY",
        "YYYYY...Y.",
        "..YY....Y.",
        "..YY....Y.",
        "..YY....Y.",
        "YYYYYYYYYY",
        "..YY....Y.",
    ];

    /// <summary>
    /// Peer-reflexive punching. With a clash A's probes reach B's NAT before B has sent anything: one that accepts them as its own
    /// then has to give B another port than B's peers were told, which stops those who rely on it.
    /// </summary>
    public static bool Reflexive(int a, int b, bool clash) =>
        s_reflexive[a][b] == 'Y' && !(clash && b == 1 && (a is 0 or 1 or 4));

    /// <summary>And with the ports of a NAT that counts up foretold: 67 in all.</summary>
    public static bool Predicting(int a, int b) =>
        Reflexive(a, b, clash: false) || (a == 6 && (b is 0 or 1 or 4 or 6)) || (b == 6 && (a is 0 or 1 or 4));

    /// <summary>
    /// utp-punch of npm: hears only the endpoint that it was told. When A's probes come first, the NAT of type 8 gives B's answers the
    /// port that they came to.
    /// </summary>
    public static bool UtpPunch(int a, int b, bool isLate) =>
        a <= 4 && (isLate ? b is 0 or 2 or 3 or 4 or 8 : b <= 4);
}
