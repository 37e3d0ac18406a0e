namespace UtpPunch;

// What the pipe of a stream needs of its read side. From its first read on, the stream is read through it only.
internal sealed partial class ReadSide
{
    private ReceivePipe? _pipe;
    private long _inPipe; // taken by the pipe, and not consumed yet
    private bool _isPiped;
    private bool _discards;

    public ReceivePipe Pipe
    {
        get
        {
            lock (this)
            {
                return _pipe ??= new ReceivePipe(this);
            }
        }
    }

    /// <summary>Completes when there are bytes, or there will be none, or by <see cref="Interrupt"/>.</summary>
    public ValueTask<int> WaitAsync(CancellationToken cancellationToken) => ReadAsync(Memory<byte>.Empty, isPiped: true, cancellationToken);

    /// <summary>Completes a wait although nothing has happened.</summary>
    public void Interrupt()
    {
        bool awake;
        lock (this)
        {
            awake = Awaken();
        }

        Complete(awake);
    }

    /// <summary>Takes out all bytes: the first portion, of which some may have been read before. Throws when the stream broke off and there are
    /// none.</summary>
    public Portion? TakeAll(out int read, out bool isEnded)
    {
        lock (this)
        {
            _isPiped = true;
            ThrowIfBroken();
            isEnded = _ended;
            _inPipe += _bytes.Length;
            return _bytes.TakeAll(out read);
        }
    }

    /// <summary>The pipe's reader has consumed bytes, and has seen others for the first time: these make room for more, as in any pipe.</summary>
    public void OnAdvanced(long consumed, int examined)
    {
        bool report;
        lock (this)
        {
            _inPipe -= consumed;
            _unreported += examined;
            report = _unreported >= _reportAt;
        }

        if (report)
        {
            Stream.Post(inline: true);
        }
    }

    /// <summary>The pipe's reader wants nothing more: what it has not examined, and what still comes, is discarded, so that the peer can go on
    /// writing.</summary>
    public void Discard(int unseen)
    {
        lock (this)
        {
            _isPiped = true;
            _discards = true;
            _inPipe = 0;
            _unreported += unseen + _bytes.Length;
            _bytes.Clear();
        }

        Stream.Post();
    }

    private bool IsUnread => _bytes.Length > 0 || _inPipe > 0;
}
