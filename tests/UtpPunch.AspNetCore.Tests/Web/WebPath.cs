namespace UtpPunch.Tests;

/// <summary>What is between a client and a server: TLS or not, and a path that loses datagrams or does not.</summary>
public sealed record WebPath(bool IsEncrypted, double Loss)
{
    public static IEnumerable<object> All { get; } =
        from isEncrypted in new[] { false, true }
        from loss in new[] { 0.0, 0.01 }
        select new WebPath(isEncrypted, loss);

    public override string ToString() => $"{(IsEncrypted ? "with" : "without")} TLS, {Loss * 100:0} % lost";
}
