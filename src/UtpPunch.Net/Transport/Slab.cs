using System.Buffers;

namespace UtpPunch;

/// <summary>
/// A buffer of 64 KiB into which the kernel receives, and from which readers copy. It counts its users, and returns to the pool when the
/// last one releases it. A slab that is not released is collected as garbage.
/// </summary>
internal sealed class Slab
{
    /// <summary>As large as a datagram can be, and below the limit of the large object heap.</summary>
    public const int Size = 64 * 1024;

    private int _users = 1;

    public byte[] Bytes { get; } = ArrayPool<byte>.Shared.Rent(Size);

    public void Use() => Interlocked.Increment(ref _users);

    public void Release()
    {
        if (Interlocked.Decrement(ref _users) == 0)
        {
            ArrayPool<byte>.Shared.Return(Bytes);
        }
    }
}
