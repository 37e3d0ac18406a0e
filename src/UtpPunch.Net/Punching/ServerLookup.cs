using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Looks the name of a rendezvous up again when none of its addresses answers: it may have moved.</summary>
/// <param name="resolve">Gives the addresses, the best one first.</param>
internal sealed class ServerLookup(Func<Task<Endpoint[]>> resolve)
{
    private int _isUnderWay;

    /// <summary>Begins, unless it is under way. Under the loop lock.</summary>
    public void Begin(Engine engine, int taskId)
    {
        if (Interlocked.Exchange(ref _isUnderWay, 1) == 0)
        {
            _ = Task.Run(() => RunAsync(engine, taskId));
        }
    }

    private async Task RunAsync(Engine engine, int taskId)
    {
        try
        {
            engine.Post(new ServersCommand(taskId, await resolve().ConfigureAwait(false)));
        }
        catch (Exception error) when (error is UtpException or OperationCanceledException or ObjectDisposedException)
        {
            // The old addresses are asked on, and the name is looked up again a few seconds later.
        }
        finally
        {
            Volatile.Write(ref _isUnderWay, 0);
        }
    }

    /// <summary>Tells the core of a meeting the addresses of its rendezvous.</summary>
    private sealed class ServersCommand(int taskId, Endpoint[] servers) : ICommand
    {
        public void Collect(Engine engine, List<Event> events) => events.Add(Event.NewServers(taskId, servers));

        public void Abandon(Failure failure)
        {
        }
    }
}
