using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>How streams are spoken on the wire. Both ends must agree; nothing on the wire tells the dialects apart.</summary>
public enum UtpDialect
{
    /// <summary>BEP 29, as libutp, libtorrent and every BitTorrent client speak it.</summary>
    Bep29,

    /// <summary>The dialect of the npm package <c>utp-punch</c>.</summary>
    UtpPunch,
}

internal static class UtpDialectExtensions
{
    public static Dialect ToCore(this UtpDialect dialect) => dialect == UtpDialect.UtpPunch ? Dialect.UtpPunch : Dialect.Bep29;
}
