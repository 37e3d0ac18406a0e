using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>The protocol of streams on the wire. Both ends must use the same one; nothing on the wire tells them apart.</summary>
public enum UtpDialect
{
    /// <summary>BEP 29 as libutp and libtorrent implement it.</summary>
    Bep29 = 0,

    /// <summary>The dialect of the npm package <c>utp-punch</c>.</summary>
    Npm = 1,
}

internal static class UtpDialectExtensions
{
    public static Dialect ToCore(this UtpDialect dialect) => dialect == UtpDialect.Npm ? Dialect.UtpPunch : Dialect.Bep29;

    public static UtpDialect ToPublic(this Dialect dialect) => dialect.IsUtpPunch ? UtpDialect.Npm : UtpDialect.Bep29;
}
