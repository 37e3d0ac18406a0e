namespace UtpPunch.NatLab;

/// <summary>The pairs of NATs that must connect, measured with other programs behind the same rules.</summary>
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
    /// Peer-reflexive punching. With a collision A's probes reach B's NAT before B has sent anything. A NAT that accepts them as its own must
    /// then map B to another port than A was told.
    /// </summary>
    public static bool Reflexive(int a, int b, bool clash) =>
        s_reflexive[a][b] == 'Y' && !(clash && b == 1 && (a is 0 or 1 or 4));

    /// <summary>The same, and with predicted ports of a NAT with sequential allocation: 67.</summary>
    public static bool Predicting(int a, int b) =>
        Reflexive(a, b, clash: false) || (a == 6 && (b is 0 or 1 or 4 or 6)) || (b == 6 && (a is 0 or 1 or 4));

    /// <summary>
    /// npm utp-punch, which accepts packets only from the endpoint that it was told. If A's probes come first, the NAT of type 8 maps B's
    /// answers to the port at which they arrived.
    /// </summary>
    public static bool UtpPunch(int a, int b, bool isLate) =>
        a <= 4 && (isLate ? b is 0 or 2 or 3 or 4 or 8 : b <= 4);
}
