using System.Collections.Concurrent;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Carries what the server asks to the store, and what the store tells to the server's thread.</summary>
internal sealed class SharedRooms(IRoomStore store, Action wake) : IRoomStoreListener
{
    // A server that does not keep up loses events; clients repeat what led to them.
    private const int MaxWaiting = 65536;

    private readonly ConcurrentQueue<StoreEvent> _news = new();
    private readonly Lock _gate = new();
    private bool _hasStopped;

    public void Start() => store.Start(this);

    /// <summary>The server's thread ends: it is woken no more.</summary>
    public void Stop()
    {
        lock (_gate)
        {
            _hasStopped = true;
        }
    }

    /// <summary>The events of the store since the last call.</summary>
    public StoreEvent[] Take()
    {
        if (_news.IsEmpty)
        {
            return [];
        }

        var taken = new List<StoreEvent>();
        while (taken.Count < MaxWaiting && _news.TryDequeue(out var one))
        {
            taken.Add(one);
        }

        return [.. taken];
    }

    public void Perform(StoreRequest[] requests)
    {
        foreach (var request in requests)
        {
            switch (request)
            {
                case StoreRequest.Share share:
                    store.Share(Memory(share.room), share.number, share.stays, Clock.ToTimeSpan(share.lifetime));
                    break;
                case StoreRequest.Unshare unshare:
                    store.Unshare(Memory(unshare.room), unshare.number);
                    break;
                case StoreRequest.Send send:
                    store.Tell(send.instance, Memory(send.message));
                    break;
                default:
                    throw new System.Runtime.CompilerServices.SwitchExpressionException(request);
            }
        }

        static ReadOnlyMemory<byte> Memory(Owned bytes) => bytes.Array.AsMemory(bytes.Offset, bytes.Length);
    }

    public void OnMembers(int number, (ulong Instance, int Number)[] others) =>
        Add(StoreEvent.NewMembers(number, [.. others.Select(other => new RoomMember(other.Instance, other.Number))]));

    public void OnTold(ulong instance, byte[] message) => Add(StoreEvent.NewTold(instance, new Borrowed(message)));

    public void OnUndelivered(byte[] message) => Add(StoreEvent.NewUndelivered(new Borrowed(message)));

    public void OnRestored() => Add(StoreEvent.Restored);

    private void Add(StoreEvent one)
    {
        lock (_gate)
        {
            if (!_hasStopped && _news.Count < MaxWaiting)
            {
                _news.Enqueue(one);
                wake();
            }
        }
    }
}
