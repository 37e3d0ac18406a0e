using System.IO.Pipelines;

namespace UtpPunch;

public sealed partial class UtpStream
{
    /// <summary>
    /// Gets the received bytes as a pipe: they are read where they lie, without a copy. From the first read on, the methods that read the stream
    /// throw <see cref="InvalidOperationException"/>.
    /// </summary>
    /// <remarks>
    /// <para>A read waits for bytes that were not examined, for the end (<see cref="ReadResult.IsCompleted"/>), or for
    /// <see cref="PipeReader.CancelPendingRead"/>, and throws the <see cref="UtpException"/> of a stream that broke off. The buffer of a result is
    /// valid until <see cref="PipeReader.AdvanceTo(SequencePosition, SequencePosition)"/>, and may have a segment for each packet. Bytes that were examined make room for more; those that were not consumed stay in memory.</para>
    /// <para><see cref="PipeReader.Complete"/> ends the reads only: what still comes is discarded, and the peer can go on writing. It does not
    /// dispose the stream.</para>
    /// </remarks>
    /// <example><code>
    /// while (true)
    /// {
    ///     var result = await stream.Input.ReadAsync();
    ///     var buffer = result.Buffer;
    ///     while (TryParseLine(ref buffer, out var line))
    ///     {
    ///         Handle(line);
    ///     }
    ///
    ///     stream.Input.AdvanceTo(buffer.Start, buffer.End);
    ///     if (result.IsCompleted)
    ///     {
    ///         break;
    ///     }
    /// }
    /// </code></example>
    public PipeReader Input => _read.Pipe;

    /// <summary>
    /// Gets the way to write without a copy: the memory that it gives out becomes the send buffer. From the first flush on, the methods that write
    /// the stream throw <see cref="InvalidOperationException"/>.
    /// </summary>
    /// <remarks>
    /// <para><see cref="PipeWriter.FlushAsync"/> completes when the send buffer has room for all that was written, and throws the
    /// <see cref="UtpException"/> of a stream that broke off. What was flushed is sent even if the wait was cancelled. Memory that was flushed must not be changed. Small writes
    /// share 4 KiB; more comes in 16 and then 64 KiB.</para>
    /// <para><see cref="PipeWriter.Complete"/> flushes, and ends this side as <see cref="CompleteWrites"/> does; with an exception it aborts the
    /// stream, so that the peer does not take a part for the whole. It does not dispose the stream.</para>
    /// </remarks>
    /// <example><code>
    /// var memory = stream.Output.GetMemory(1024);
    /// stream.Output.Advance(Encode(message, memory.Span));
    /// await stream.Output.FlushAsync();
    /// </code></example>
    public PipeWriter Output => _write.Pipe;
}
