namespace UtpPunch.Attacks.Hosts;

/// <summary>Bytes that depend on their place only, so that a receiver recognizes each wrong one.</summary>
internal static class Pattern
{
    public static void Fill(Span<byte> bytes, long offset)
    {
        for (var i = 0; i < bytes.Length; i++)
        {
            bytes[i] = At(offset + i);
        }
    }

    /// <summary>How many bytes are wrong.</summary>
    public static int CountWrong(ReadOnlySpan<byte> bytes, long offset)
    {
        var wrong = 0;
        for (var i = 0; i < bytes.Length; i++)
        {
            wrong += bytes[i] == At(offset + i) ? 0 : 1;
        }

        return wrong;
    }

    private static byte At(long place) => (byte)(((ulong)place * 0x9E3779B97F4A7C15) >> 56);
}
