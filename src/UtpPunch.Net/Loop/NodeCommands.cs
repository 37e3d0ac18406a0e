using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Accepts streams, and offers them to a listener.</summary>
internal sealed class ListenCommand(UtpListener listener, int backlog) : ICommand
{
    public void Collect(Engine engine, List<Event> events)
    {
        if (engine.IsClosing)
        {
            Abandon(Failure.NodeClosed());
            return;
        }

        engine.Listener = listener;
        events.Add(listener.IsSelective ? Event.NewListenSelectively(backlog) : Event.NewListen(backlog));
    }

    public void Abandon(Failure failure) => listener.OnStopped(failure);
}

/// <summary>Accepts no more streams for a listener.</summary>
internal sealed class UnlistenCommand(UtpListener listener) : ICommand
{
    public void Collect(Engine engine, List<Event> events)
    {
        if (ReferenceEquals(engine.Listener, listener))
        {
            engine.Listener = null;
            events.Add(Event.Unlisten);
        }
    }

    public void Abandon(Failure failure)
    {
    }
}

/// <summary>Whether a peer that the core has asked about may open its stream.</summary>
internal sealed class DecidedCommand(int connId, bool isWelcome) : ICommand
{
    public void Collect(Engine engine, List<Event> events) => events.Add(Event.NewDecided(connId, isWelcome));

    public void Abandon(Failure failure)
    {
    }
}

/// <summary>Sends a datagram that is not uTP.</summary>
internal sealed class DatagramWork(Endpoint remote, ReadOnlyMemory<byte> datagram) : ICommand
{
    private readonly TaskCompletionSource<SocketException?> _sent = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task<SocketException?> Sent => _sent.Task;

    public void Collect(Engine engine, List<Event> events)
    {
        // The memory is the caller's, and so are its exceptions.
        try
        {
            _sent.SetResult(engine.Transport.Send(Nat64Translation.leaving(engine.Nat64, remote), datagram.Span));
        }
        catch (Exception fault)
        {
            _sent.SetException(fault);
        }
    }

    public void Abandon(Failure failure) => _sent.SetException(failure.ToException());
}
