using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// A stream's <see cref="PipeReader"/>. Received bytes are read where the socket has put them: it takes the payloads from the read side, shows
/// them as the segments of a sequence, and releases their slabs as they are consumed. As any pipe, it is used by one thread at a time, but for
/// <see cref="CancelPendingRead"/>.
/// </summary>
internal sealed class ReceivePipe(ReadSide side) : PipeReader
{
    private const int MostSpare = 64;

    private readonly Stack<Segment> _spare = new();
    private Segment? _first;
    private Segment? _last;
    private int _start;     // consumed of the first segment
    private long _end;      // of all bytes so far
    private long _examined; // of these
    private int _isCanceled;
    private bool _isEnded;
    private bool _isCompleted;

    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<ReadResult>(cancellationToken);
        }

        try
        {
            return TryRead(out var result) ? new ValueTask<ReadResult>(result) : WaitAsync(cancellationToken);
        }
        catch (Exception error)
        {
            return ValueTask.FromException<ReadResult>(error);
        }
    }

    public override bool TryRead(out ReadResult result)
    {
        ThrowIfCompleted();
        var isCanceled = Interlocked.Exchange(ref _isCanceled, 0) != 0;
        if (!isCanceled)
        {
            Fill();
        }

        var isThere = isCanceled || _end > _examined || _isEnded;
        result = isThere ? new ReadResult(Buffer, isCanceled, _isEnded) : default;
        return isThere;
    }

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        ThrowIfCompleted();
        if (_first is null)
        {
            return; // The positions of an empty buffer.
        }

        var from = _first.RunningIndex + _start;
        var to = PositionOf(consumed, nameof(consumed));
        var seen = PositionOf(examined, nameof(examined));
        ArgumentOutOfRangeException.ThrowIfLessThan(to, from, nameof(consumed));
        ArgumentOutOfRangeException.ThrowIfLessThan(seen, to, nameof(examined));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(seen, _end, nameof(examined));
        Release(to);
        var isNew = Math.Max(0, seen - _examined);
        _examined += isNew;
        side.OnAdvanced(to - from, (int)isNew);
    }

    public override void CancelPendingRead()
    {
        Volatile.Write(ref _isCanceled, 1);
        side.Interrupt();
    }

    public override void Complete(Exception? exception = null)
    {
        if (!_isCompleted)
        {
            var unseen = (int)(_end - _examined);
            Release(_end);
            _spare.Clear();
            _isCompleted = true;
            side.Discard(unseen);
        }
    }

    private ReadOnlySequence<byte> Buffer =>
        _first is null ? ReadOnlySequence<byte>.Empty : new ReadOnlySequence<byte>(_first, _start, _last!, _last!.Memory.Length);

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<ReadResult> WaitAsync(CancellationToken cancellationToken)
    {
        // A reader that waits for long holds nothing.
        _spare.Clear();
        ReadResult result;
        do
        {
            var wait = side.WaitAsync(cancellationToken);
            if (Volatile.Read(ref _isCanceled) != 0)
            {
                side.Interrupt();
            }

            await wait.ConfigureAwait(false);
        }
        while (!TryRead(out result));
        return result;
    }

    private void Fill()
    {
        var portion = side.TakeAll(out var read, out _isEnded);
        for (; portion is not null; portion = portion.Next, read = 0)
        {
            Append(portion, read);
        }
    }

    // The pieces of a payload lie in the datagrams that brought them. The slab is free when the last of them was consumed.
    private void Append(Portion portion, int read)
    {
        var payload = portion.Payload;
        while (read < payload.Length)
        {
            var piece = read / payload.Size;
            var within = read % payload.Size;
            var count = Math.Min(payload.Size - within, payload.Length - read);
            read += count;
            var segment = _spare.TryPop(out var spare) ? spare : new Segment();
            segment.Set(
                payload.Buffer.AsMemory(payload.Offset + (piece * payload.Stride) + within, count),
                _end,
                read == payload.Length ? portion.Slab : null);
            _end += count;
            _last?.Link(segment);
            _first ??= segment;
            _last = segment;
        }
    }

    private void Release(long position)
    {
        while (_first is { } segment && segment.RunningIndex + segment.Memory.Length <= position)
        {
            _first = segment.Rest;
            _start = 0;
            segment.Slab?.Release();
            segment.Clear();
            if (_spare.Count < MostSpare)
            {
                _spare.Push(segment);
            }
        }

        if (_first is null)
        {
            _last = null;
        }
        else
        {
            _start = (int)(position - _first.RunningIndex);
        }
    }

    private static long PositionOf(SequencePosition position, string name) => position.GetObject() is Segment segment
        ? segment.RunningIndex + position.GetInteger()
        : throw new ArgumentException("The position is none of the buffer that was read last.", name);

    private void ThrowIfCompleted()
    {
        if (_isCompleted)
        {
            throw new InvalidOperationException("The reader was completed.");
        }
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Slab? Slab { get; private set; }

        public Segment? Rest => (Segment?)Next;

        public void Set(ReadOnlyMemory<byte> memory, long position, Slab? slab)
        {
            Memory = memory;
            RunningIndex = position;
            Slab = slab;
        }

        public void Link(Segment next) => Next = next;

        public void Clear()
        {
            Memory = default;
            Next = null;
            Slab = null;
        }
    }
}
