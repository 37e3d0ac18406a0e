namespace UtpPunch;

/// <summary>
/// A buffer of 64 KiB into which the kernel receives, and from which readers copy. It counts its users, and returns to the pool when the
/// last one releases it. A slab that is not released is collected as garbage.
/// </summary>
internal sealed class Slab
{
    public const int Size = BufferPool.Size;

    private int _users = 1;

    public byte[] Bytes { get; } = BufferPool.Shared.Rent();

    public void Use() => Interlocked.Increment(ref _users);

    public void Release()
    {
        if (Interlocked.Decrement(ref _users) == 0)
        {
            BufferPool.Shared.Return(Bytes);
        }
    }
}
