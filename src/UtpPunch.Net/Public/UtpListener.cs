using System.Diagnostics;
using System.Net;
using System.Runtime.CompilerServices;

namespace UtpPunch;

/// <summary>The streams that peers open to a node, in the order in which they came. Any number of accepts may wait at once.</summary>
/// <example><code>
/// await using var listener = node.Listen();
/// await foreach (var stream in listener.AcceptAllAsync())
/// {
///     _ = HandleAsync(stream);   // which disposes it
/// }
/// </code></example>
[DebuggerDisplay("{LocalEndPoint}, {PendingConnections} pending")]
public sealed class UtpListener : IAsyncDisposable, IDisposable
{
    private readonly UtpNode _node;
    private readonly Func<IPEndPoint, CancellationToken, ValueTask<bool>>? _filter;
    private readonly CancellationTokenSource _life = new();
    private readonly Lock _gate = new();
    private readonly LinkedList<UtpStream> _streams = [];
    private readonly LinkedList<TaskCompletionSource<UtpStream>> _accepts = [];
    private bool _disposed;
    private Failure? _stopped;

    internal UtpListener(UtpNode node, Func<IPEndPoint, CancellationToken, ValueTask<bool>>? filter)
    {
        _node = node;
        _filter = filter;
    }

    /// <summary>Gets the address of the node.</summary>
    public IPEndPoint LocalEndPoint => _node.LocalEndPoint;

    /// <summary>Gets the number of streams that wait to be accepted.</summary>
    public int PendingConnections
    {
        get
        {
            lock (_gate)
            {
                DropGone();
                return _streams.Count;
            }
        }
    }

    /// <summary>Takes the next stream, and waits for one.</summary>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>The stream, which the caller disposes.</returns>
    /// <exception cref="ObjectDisposedException">The listener was disposed.</exception>
    /// <exception cref="UtpException">The node was closed, or broke down.</exception>
    /// <exception cref="OperationCanceledException">The wait was cancelled; no stream is lost by that.</exception>
    public ValueTask<UtpStream> AcceptAsync(CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<UtpStream>(cancellationToken);
        }

        LinkedListNode<TaskCompletionSource<UtpStream>> waiting;
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            DropGone();
            if (_streams.First is { } first)
            {
                _streams.RemoveFirst();
                first.Value.OnTaken();
                return new ValueTask<UtpStream>(first.Value);
            }

            if (_stopped is not null)
            {
                return ValueTask.FromException<UtpStream>(_stopped.ToException());
            }

            var promise = new TaskCompletionSource<UtpStream>(TaskCreationOptions.RunContinuationsAsynchronously);
            waiting = _accepts.AddLast(promise);
        }

        return cancellationToken.CanBeCanceled ? AwaitAsync(waiting, cancellationToken) : new ValueTask<UtpStream>(waiting.Value.Task);
    }

    /// <summary>Takes all streams to come, until the listener is disposed or the node closed; then it ends without an exception.</summary>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>The streams, which the caller disposes.</returns>
    /// <exception cref="UtpException">The node broke down.</exception>
    /// <exception cref="OperationCanceledException">The wait was cancelled.</exception>
    public async IAsyncEnumerable<UtpStream> AcceptAllAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        while (true)
        {
            UtpStream stream;
            try
            {
                stream = await AcceptAsync(cancellationToken).ConfigureAwait(false);
            }
            catch (Exception end) when (end is ObjectDisposedException or UtpException { Error: UtpError.NodeClosed })
            {
                yield break;
            }

            yield return stream;
        }
    }

    /// <summary>
    /// Stops listening: accepts that wait end with <see cref="ObjectDisposedException"/>, streams that were not accepted are reset. Accepted
    /// streams stay open, and the node may listen again. It does not wait.
    /// </summary>
    public ValueTask DisposeAsync()
    {
        Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>Stops listening, as <see cref="DisposeAsync"/> does.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            _life.Cancel();
            FailAccepts(new ObjectDisposedException(typeof(UtpListener).FullName));
        }

        _node.StopListening(this);
    }

    /// <summary>Whether a filter decides about each peer.</summary>
    internal bool IsSelective => _filter is not null;

    /// <summary>The core asks whether a peer may open a stream: a <see cref="DecidedCommand"/> has the answer.</summary>
    internal void Decide(int connId, IPEndPoint remote) =>
        ThreadPool.UnsafeQueueUserWorkItem(
            static it => _ = it.Listener.DecideAsync(it.ConnId, it.Remote), (Listener: this, ConnId: connId, Remote: remote), preferLocal: false);

    private async Task DecideAsync(int connId, IPEndPoint remote)
    {
        // The core forgets the peer after that time.
        using var life = CancellationTokenSource.CreateLinkedTokenSource(_life.Token);
        life.CancelAfter(Clock.ToTimeSpan(_node.Engine.Settings.Node.HalfOpenTimeout));
        var isWelcome = false;
        try
        {
            isWelcome = _filter is null || await _filter(remote, life.Token).ConfigureAwait(false);
        }
        catch (Exception error)
        {
            // As documented: a filter that throws refuses.
            if (!life.IsCancellationRequested)
            {
                _node.Engine.Telemetry.OnFilterFailed(error, remote);
            }
        }

        _node.Engine.Post(new DecidedCommand(connId, isWelcome));
    }

    /// <summary>A peer has opened a stream; false when no streams are accepted any more. Under the loop lock.</summary>
    internal bool Offer(UtpStream stream)
    {
        lock (_gate)
        {
            if (_disposed || _stopped is not null)
            {
                return false;
            }

            while (_accepts.First is { } first)
            {
                _accepts.RemoveFirst();
                if (first.Value.TrySetResult(stream))
                {
                    stream.OnTaken();
                    return true;
                }
            }

            DropGone();
            _streams.AddLast(stream);
            return true;
        }
    }

    /// <summary>The node has closed, or broken down.</summary>
    internal void OnStopped(Failure failure)
    {
        lock (_gate)
        {
            _stopped ??= failure;
            _life.Cancel();
            _streams.Clear();
            if (!_disposed)
            {
                FailAccepts(failure.ToException());
            }
        }
    }

    private async ValueTask<UtpStream> AwaitAsync(
        LinkedListNode<TaskCompletionSource<UtpStream>> waiting, CancellationToken cancellationToken)
    {
        using var registration = cancellationToken.UnsafeRegister(
            static (state, token) => ((TaskCompletionSource<UtpStream>)state!).TrySetCanceled(token), waiting.Value);
        try
        {
            return await waiting.Value.Task.ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            lock (_gate)
            {
                if (waiting.List is not null)
                {
                    _accepts.Remove(waiting);
                }
            }

            throw;
        }
    }

    // Only a failure ends a stream that was not accepted yet. As with TCP, it is not offered any more.
    private void DropGone()
    {
        for (var next = _streams.First; next is not null;)
        {
            var current = next;
            next = next.Next;
            if (current.Value.IsGone)
            {
                _streams.Remove(current);
            }
        }
    }

    private void FailAccepts(Exception error)
    {
        foreach (var accept in _accepts)
        {
            if (accept.TrySetException(error))
            {
                _ = accept.Task.Exception;
            }
        }

        _accepts.Clear();
        if (_disposed)
        {
            _streams.Clear();
        }
    }
}
