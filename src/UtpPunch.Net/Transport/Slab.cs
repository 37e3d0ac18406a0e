using System.Buffers;

namespace UtpPunch;

/// <summary>
/// 64 KiB into which the kernel has received, and from which readers take their bytes. Whoever still needs it counts as a user; after the
/// last one the next bytes are received into it. A slab whose users forget to say that they have done is left to the garbage collector.
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
