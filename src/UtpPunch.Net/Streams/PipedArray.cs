using System.Buffers;

namespace UtpPunch;

/// <summary>A part of an array that a pipe's writer has filled. The array returns to its pool when its last part was acknowledged.</summary>
internal readonly record struct PipedArray(byte[] Array, int Start, int End, bool IsLast)
{
    private const int Small = 4 * 1024;
    private const int Middle = 16 * 1024;

    public int Length => End - Start;

    public PipedArray From(int count) => this with { Start = Start + count };

    /// <summary>An array for at least that many bytes, and of the next size if one of that size was filled.</summary>
    public static byte[] Rent(int least) => least switch
    {
        < Small => ArrayPool<byte>.Shared.Rent(Small),
        < Middle => ArrayPool<byte>.Shared.Rent(Middle),
        <= BufferPool.Size => BufferPool.Shared.Rent(),
        _ => GC.AllocateUninitializedArray<byte>(least),
    };

    public static void Return(byte[] array)
    {
        if (array.Length is Small or Middle)
        {
            ArrayPool<byte>.Shared.Return(array);
        }
        else if (array.Length == BufferPool.Size)
        {
            BufferPool.Shared.Return(array);
        }
    }
}
