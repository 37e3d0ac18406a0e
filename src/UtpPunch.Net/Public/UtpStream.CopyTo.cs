using System.Buffers;

namespace UtpPunch;

public sealed partial class UtpStream
{
    /// <summary>
    /// Reads to the end and writes all of it to another stream. It keeps a buffer only while bytes arrive: a large number of idle streams can be
    /// copied at the same time.
    /// </summary>
    /// <param name="destination">The stream that is written to.</param>
    /// <param name="bufferSize">The size of the buffer, in bytes; at least 1.</param>
    /// <param name="cancellationToken">Ends the copy.</param>
    /// <returns>A task that completes when all bytes were written.</returns>
    /// <exception cref="UtpException">The stream broke off.</exception>
    /// <exception cref="OperationCanceledException">The copy was cancelled.</exception>
    public override async Task CopyToAsync(Stream destination, int bufferSize, CancellationToken cancellationToken)
    {
        ValidateCopyToArguments(destination, bufferSize);
        while (true)
        {
            await ReadAsync(Memory<byte>.Empty, cancellationToken).ConfigureAwait(false);
            var buffer = ArrayPool<byte>.Shared.Rent(bufferSize);
            try
            {
                int count;
                do
                {
                    count = await ReadAsync(buffer, cancellationToken).ConfigureAwait(false);
                    if (count == 0)
                    {
                        return;
                    }

                    await destination.WriteAsync(buffer.AsMemory(0, count), cancellationToken).ConfigureAwait(false);
                }
                while (count == buffer.Length);
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(buffer);
            }
        }
    }
}
