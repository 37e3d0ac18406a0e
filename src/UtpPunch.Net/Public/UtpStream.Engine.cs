using System.Runtime.CompilerServices;
using UtpPunch.Protocol;

namespace UtpPunch;

// The stream as a command: what its users request is kept here until a step collects it, all at once and in the order that the core
// expects. A thousand small writes cost one command.
public sealed partial class UtpStream : ICommand
{
    private int _posted;
    private volatile int _connId = -1;
    private volatile int _maxPayload;
    private bool _taken;
    private bool _idleChanged;
    private bool _releaseWanted;
    private bool _released;
    private bool _left;
    private bool _abortWanted;

    // That of this side, if it has aborted the stream; otherwise that of the peer.
    private uint? _errorCode;
    private bool _aborted;
    private bool _nodeClosing;
    private bool _gone;

    /// <summary>The application has taken the stream from the listener.</summary>
    internal void OnTaken()
    {
        lock (Gate)
        {
            _taken = true;
        }

        Post();
    }

    /// <summary>There are requests to collect.</summary>
    /// <param name="inline">Whether the calling thread, which then holds no lock, may step.</param>
    internal void Post(bool inline = false)
    {
        if (Interlocked.Exchange(ref _posted, 1) == 0)
        {
            _engine.Post(this, inline);
        }
    }

    internal Engine Engine => _engine;

    void ICommand.Collect(Engine engine, List<Event> events)
    {
        Interlocked.Exchange(ref _posted, 0); // Later requests are posted anew.
        if (_connId < 0 && !Dial(events))
        {
            return;
        }

        lock (Gate)
        {
            Gather(events);
        }
    }

    void ICommand.Abandon(Failure failure) => OnLost(failure);

    internal void OnOpened(ushort connectionId)
    {
        ConnectionId = connectionId;
        EndDial();
        Volatile.Write(ref _localEndPoint, _engine.LocalEndPointOf(_connId));
        _engine.Telemetry.OnOpened(this);
        _opening.Reach();
    }

    internal void OnDeliver(Payload payload, Slab? slab)
    {
        if (_read.Deliver(payload, slab))
        {
            return;
        }

        // As with TCP, the peer must learn that its bytes are lost.
        lock (Gate)
        {
            _abortWanted = true;
        }

        Post();
    }

    /// <summary>The payload of a full packet has changed.</summary>
    internal void OnSized(int payload)
    {
        _maxPayload = payload;
        _write.OnSized(payload);
    }

    /// <summary>The path is lost.</summary>
    internal void OnPathLost()
    {
        lock (Gate)
        {
            _isSearching = true;
        }

        _engine.Telemetry.OnPathLost(this);
        _pathHandlers?.Raise();
    }

    /// <summary>The stream goes on, to that address.</summary>
    internal void OnPathChanged(Endpoint remote)
    {
        lock (Gate)
        {
            _isSearching = false;
            _remote = remote;
            _remoteEndPoint = null;
        }

        Volatile.Write(ref _localEndPoint, _engine.LocalEndPointOf(_connId));
        _engine.Telemetry.OnPathChanged(this);
        _pathHandlers?.Raise();
    }

    internal void OnWritable(int room, int unacknowledged) => _write.OnWritable(room, unacknowledged);

    internal void OnEnded()
    {
        _read.OnEnded();
        _readsClosed.Reach();
    }

    internal void OnFinished()
    {
        _write.OnFinished();
        _writesClosed.Reach();
        bool isLeaving;
        lock (Gate)
        {
            isLeaving = _nodeClosing;
        }

        if (isLeaving)
        {
            Post();
        }
    }

    /// <summary>The peer's application has aborted the stream, with that code. <see cref="OnClosed"/> follows.</summary>
    internal void OnResetWithCode(uint code) => _errorCode = code;

    /// <summary>The core has closed the stream.</summary>
    internal void OnClosed(CloseReason reason, UtpStreamStatistics statistics)
    {
        bool nodeClosing;
        lock (Gate)
        {
            _finalStatistics = new StrongBox<UtpStreamStatistics>(statistics);
            nodeClosing = _nodeClosing;
        }

        EndDial();
        var age = Clock.Since(_born);
        var failure = reason.IsAborted && nodeClosing ? Failure.NodeClosed(RemoteEndPoint) : Failure.Of(reason, RemoteEndPoint, age, _errorCode);
        var isClean = reason.IsFinished || reason.IsReleased;
        if (_opening.IsReached)
        {
            _engine.Telemetry.OnClosed(this, isClean ? null : failure, age, statistics);
        }

        Finish(failure, isClean);
    }

    /// <summary>The engine has stopped, and with it the stream.</summary>
    internal void OnLost(Failure? fault) => Finish(fault ?? Failure.NodeClosed(RemoteEndPoint));

    /// <summary>
    /// The node is asked to close: reads and writes fail, but what was written is still sent. Unread bytes are lost, and the peer learns that
    /// by a reset, as when the stream is disposed.
    /// </summary>
    internal void OnNodeClosing(List<Event> events)
    {
        var failure = Failure.NodeClosed(RemoteEndPoint);
        // Neither what was not read nor what was flushed and has no room arrives: the peer must not take it for the end.
        var unread = _read.Close(failure) || _write.HasPiped;
        _write.Fail(failure);
        lock (Gate)
        {
            _nodeClosing = true;
            if (_opening.IsReached && !unread && _engine.Settings.LingerTimeout != TimeSpan.Zero)
            {
                _releaseWanted = true;
            }
            else
            {
                _abortWanted = true;
            }

            Gather(events);
        }

        _opening.Fail(failure);
    }

    private void EndDial()
    {
        if (_dial?.Counterpart is { } counterpart)
        {
            _engine.AwaitNoMore(_remote, counterpart);
        }

        _dial = null;
    }

    /// <summary>False when the stream ended before it began.</summary>
    private bool Dial(List<Event> events)
    {
        if (_engine.IsClosing)
        {
            OnLost(_engine.Fault);
            return false;
        }

        lock (Gate)
        {
            if (!_abortWanted && !_gone)
            {
                _connId = _engine.Enlist(this);
                var how = _dial!.How;
                var timeout = Clock.ToMicroseconds(how.Timeout);
                if (_dial.Counterpart is { } counterpart)
                {
                    _engine.Await(_remote, counterpart);
                    events.Add(Event.NewConnectSimultaneously(_connId, _remote, timeout, how.PrimingHops));
                    return true;
                }

                events.Add(Event.NewConnect(_connId, _remote, how.Dialect, timeout));
                return true;
            }
        }

        Finish(Failure.Aborted(RemoteEndPoint));
        return false;
    }

    // Under the lock and the loop lock.
    private void Gather(List<Event> events)
    {
        if (_gone || _aborted)
        {
            return;
        }

        if (_taken)
        {
            _taken = false;
            events.Add(Event.NewTaken(_connId));
        }

        if (_abortWanted)
        {
            _aborted = true;
            events.Add(_errorCode is { } code ? Event.NewAbortWithCode(_connId, code) : Event.NewAbort(_connId));
        }
        else if (!_released)
        {
            GatherTraffic(events);
        }

        // The process is about to exit, and the peer has acknowledged everything of this side.
        if (_nodeClosing && _writesClosed.IsReached && !_aborted && !_left)
        {
            _left = true;
            events.Add(Event.NewRelease(_connId, 0));
        }
    }

    private void GatherTraffic(List<Event> events)
    {
        if (_idleChanged)
        {
            _idleChanged = false;
            events.Add(Event.NewSetIdleTimeout(_connId, Clock.ToMicroseconds(_idleTimeout)));
        }

        if (_congestionChanged)
        {
            _congestionChanged = false;
            events.Add(Event.NewSetCongestionControl(_connId, _congestionControl.Core));
        }

        if (_read.TakeReport() is > 0 and var consumed)
        {
            events.Add(Event.NewConsumed(_connId, consumed));
        }

        _write.Collect(_connId, events);
        if (_releaseWanted && !_write.HasPiped)
        {
            _released = true;
            events.Add(Event.NewRelease(_connId, Clock.ToMicroseconds(_engine.Settings.LingerTimeout)));
        }
    }

    // A clean end may come with a failure of the reads: the peer had not ended when this side was disposed.
    private void Finish(Failure? failure, bool isClean = false)
    {
        lock (Gate)
        {
            if (_gone)
            {
                return;
            }

            _gone = true;
        }

        if (failure is null)
        {
            _read.OnEnded();
            _write.OnFinished();
            _readsClosed.Reach();
            _writesClosed.Reach();
            _closed.Reach();
            return;
        }

        _read.Fail(failure);
        _write.Fail(failure);
        _opening.Fail(failure);
        _readsClosed.Fail(failure);
        _writesClosed.Fail(failure);
        if (isClean)
        {
            _closed.Reach();
        }
        else
        {
            _closed.Fail(failure);
        }
    }
}
