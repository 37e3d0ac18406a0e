namespace UtpPunch;

/// <summary>A word in memory, monitors to park at, and a socket to wake.</summary>
internal struct SystemPlatform(IDatagramTransport transport) : ILoopPlatform
{
    private readonly ParkingPlace _ownThread = new();
    private readonly ParkingPlace _caller = new();
    private long _word;

    public readonly int CurrentThread => Environment.CurrentManagedThreadId;

    public long SleepsUntil { get; set; }

    public readonly LoopState Read() => new(Volatile.Read(in _word));

    public bool TryReplace(LoopState before, LoopState after) =>
        Interlocked.CompareExchange(ref _word, after.Word, before.Word) == before.Word;

    public readonly void Park(LoopParty party, int milliseconds) => Of(party).Park(milliseconds);

    public readonly void Unpark(LoopParty party) => Of(party).Unpark();

    public readonly void WakeSocket() => transport.Wake();

    private readonly ParkingPlace Of(LoopParty party) => party == LoopParty.OwnThread ? _ownThread : _caller;

    private sealed class ParkingPlace
    {
        private bool _permit;

        public void Park(int milliseconds)
        {
            lock (this)
            {
                if (!_permit)
                {
                    Monitor.Wait(this, milliseconds);
                }

                _permit = false;
            }
        }

        public void Unpark()
        {
            lock (this)
            {
                _permit = true;
                Monitor.Pulse(this);
            }
        }
    }
}
