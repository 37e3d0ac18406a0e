namespace UtpPunch;

/// <summary>The handlers of <see cref="UtpStream.PathChanged"/>, which few streams have. They run on the thread pool, one after the other, in order.</summary>
internal sealed class PathHandlers(UtpStream stream)
{
    private Task _told = Task.CompletedTask;

    public event EventHandler? Changed;

    /// <summary>Calls the handlers. Under the loop lock.</summary>
    public void Raise()
    {
        if (Changed is { } handler)
        {
            _told = _told.ContinueWith(_ => Tell(handler), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        }
    }

    private void Tell(EventHandler handler)
    {
        try
        {
            handler(stream, EventArgs.Empty);
        }
        catch (Exception error)
        {
            stream.Engine.Telemetry.OnPathHandlerFailed(error, stream.RemoteEndPoint);
        }
    }
}
