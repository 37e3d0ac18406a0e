namespace UtpPunch.Cli.Bench;

/// <summary>The periodic data that writers write. A reader checks both ends of each read; checking every byte would distort the
/// measurement.</summary>
internal static class Pattern
{
    public const int BlockSize = 256 * 1024;
    private const int Looked = 16;

    private static readonly byte[] s_bytes = Create();

    /// <summary>One period.</summary>
    public static ReadOnlyMemory<byte> Block => s_bytes.AsMemory(0, BlockSize);

    /// <summary>Throws unless these are the bytes of a stream from an offset on.</summary>
    public static void Check(long offset, ReadOnlySpan<byte> bytes)
    {
        var looked = Math.Min(Looked, bytes.Length);
        if (!bytes[..looked].SequenceEqual(At(offset, looked)) || !bytes[^looked..].SequenceEqual(At(offset + bytes.Length - looked, looked)))
        {
            throw new InvalidDataException($"the {bytes.Length} bytes from offset {offset} on differ from those that were sent");
        }
    }

    private static ReadOnlySpan<byte> At(long offset, int length) => s_bytes.AsSpan((int)(offset % BlockSize), length);

    // The beginning is repeated at the end, so that no comparison wraps.
    private static byte[] Create()
    {
        var bytes = new byte[BlockSize + Looked];
        new Random(29).NextBytes(bytes.AsSpan(0, BlockSize));
        bytes.AsSpan(0, Looked).CopyTo(bytes.AsSpan(BlockSize));
        return bytes;
    }
}
