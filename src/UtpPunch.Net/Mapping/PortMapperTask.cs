using System.Net;
using System.Net.NetworkInformation;
using System.Threading.Channels;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// Runs a <see cref="PortMapper"/>: hands it the answers that arrive at the socket of a node, performs its effects, and waits for its deadlines.
/// It is a task of its own beside the loop of the node, which it uses to send.
/// </summary>
[System.Diagnostics.CodeAnalysis.SuppressMessage(
    "Reliability", "CA1001", Justification = "The mapping is the user's, and disposes this task.")]
internal sealed class PortMapperTask
{
    // Further answers are dropped until some were handled, as if the network had lost them.
    private const int MaxWaiting = 64;

    private readonly Engine _engine;
    private readonly Func<MapperOptions?> _find;
    private readonly Action<PortMapperTask> _onEnded;
    private readonly Channel<MapperEvent> _events = Channel.CreateBounded<MapperEvent>(
        new BoundedChannelOptions(MaxWaiting) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true });
    private readonly TaskCompletionSource<UtpPortMapping> _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly UtpPortMapping _mapping;
    private volatile MapperOptions _options;
    private volatile bool _hasChanged;
    private int _isClosing;
    private Task _ended = Task.CompletedTask;

    public NodeTelemetry Telemetry => _engine.Telemetry;

    /// <param name="engine">The node.</param>
    /// <param name="options">What to map.</param>
    /// <param name="find">Finds the gateway again when the network has changed; <see langword="null"/> if there is none.</param>
    /// <param name="onEnded">Is called when it has ended.</param>
    public PortMapperTask(Engine engine, MapperOptions options, Func<MapperOptions?> find, Action<PortMapperTask> onEnded)
    {
        _engine = engine;
        _options = options;
        _find = find;
        _onEnded = onEnded;
        _mapping = new UtpPortMapping(this);
    }

    /// <summary>Completes when the port is mapped; fails when it cannot be.</summary>
    public Task<UtpPortMapping> Started => _started.Task;

    /// <summary>What it has mapped, once it has.</summary>
    public UtpPortMapping Mapping => _mapping;

    /// <summary>The mapped endpoint of the node.</summary>
    public IPEndPoint Internal => Addresses.ToIPEndPoint(_options.Client);

    public void Start(byte[] seed)
    {
        var mapper = PortMapperModule.Start(_options, RandomModule.create(new Owned(seed)), Clock.Now);
        _ended = Task.Run(() => RunAsync(mapper));
        _ = _engine.Completion.ContinueWith(_ => Close(), TaskScheduler.Default);
    }

    /// <summary>Takes a datagram that is not uTP, if it is for this mapper. Under the loop lock.</summary>
    public bool TryTake(Endpoint from, Borrowed datagram)
    {
        if (!PortMapperModule.Awaits(_options, from, datagram))
        {
            return false;
        }

        // The buffer is that of the socket.
        _events.Writer.TryWrite(MapperEvent.NewReceived(from, new Borrowed(datagram.Span.ToArray())));
        return true;
    }

    /// <summary>Deletes the mapping.</summary>
    /// <returns>A task that completes within 250 ms, and does not fail.</returns>
    public Task Close()
    {
        if (Interlocked.Exchange(ref _isClosing, 1) == 0)
        {
            Wake();
        }

        return _ended;
    }

    // Whatever the event is, the loop looks at the flags; a full channel wakes it as well.
    private void Wake() => _events.Writer.TryWrite(MapperEvent.NewUnanswered(0));

    private void OnNetworkChanged(object? sender, EventArgs e)
    {
        _hasChanged = true;
        Wake();
    }

    private async Task RunAsync(PortMapper mapper)
    {
        using var client = new DeviceClient(Internal.Address);
        var watches = TryWatch();
        try
        {
            while (true)
            {
                (mapper, var effects) = PortMapperModule.Step(Clock.Now, [.. Gather()], mapper);
                foreach (var effect in effects)
                {
                    Perform(effect, client);
                }

                if (PortMapperModule.Deadline(mapper) is var deadline && deadline == Time.never)
                {
                    return;
                }

                await WaitAsync(deadline).ConfigureAwait(false);
            }
        }
        catch (Exception error)
        {
            _started.TrySetException(Failure.Fault(error).ToException());
            _mapping.OnLost("the mapper broke down: " + error.Message);
        }
        finally
        {
            if (watches)
            {
                NetworkChange.NetworkAddressChanged -= OnNetworkChanged;
            }

            _onEnded(this);
            _started.TrySetException(Failure.NodeClosed().ToException());
            _ = _started.Task.Exception;
        }
    }

    // Not all systems report changes.
    private bool TryWatch()
    {
        try
        {
            NetworkChange.NetworkAddressChanged += OnNetworkChanged;
            return true;
        }
        catch (Exception error) when (error is NetworkInformationException or PlatformNotSupportedException)
        {
            return false;
        }
    }

    private IEnumerable<MapperEvent> Gather()
    {
        while (_events.Reader.TryRead(out var it))
        {
            yield return it;
        }

        if (_hasChanged)
        {
            _hasChanged = false;
            if (_find() is { } found && !(found.Client.Equals(_options.Client) && found.Gateway.Equals(_options.Gateway)))
            {
                _options = found;
                yield return MapperEvent.NewRestart(found);
            }
        }

        if (Volatile.Read(ref _isClosing) != 0)
        {
            yield return MapperEvent.Close;
        }
    }

    private async Task WaitAsync(long deadline)
    {
        using var timeout = new CancellationTokenSource();
        timeout.CancelAfter(Clock.MillisecondsUntil(deadline));
        try
        {
            await _events.Reader.WaitToReadAsync(timeout.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // The deadline.
        }
    }

    private void Perform(MapperEffect effect, DeviceClient client)
    {
        switch (effect)
        {
            case MapperEffect.Send send:
                _engine.Post(new MapperCommand(Internal.Address, send.remote, send.datagram));
                break;
            case MapperEffect.Request request:
                _ = RequestAsync(request, client);
                break;
            case MapperEffect.Mapped mapped:
                _mapping.OnMapped(mapped.lease);
                _started.TrySetResult(_mapping);
                break;
            case MapperEffect.Renewed renewed:
                _mapping.OnRenewed(renewed.lease);
                break;
            case MapperEffect.Lost lost:
                _mapping.OnLost(MappingText.Explain(lost.failure, Addresses.ToIPEndPoint(_options.Gateway)));
                break;
            case MapperEffect.Failed failed:
                _started.TrySetException(MappingText.Of(failed.failure, Addresses.ToIPEndPoint(_options.Gateway)).ToException());
                break;
            default:
                break;                                  // Closed: the last one.
        }
    }

    private async Task RequestAsync(MapperEffect.Request request, DeviceClient client) =>
        _events.Writer.TryWrite(await client.RunAsync(request).ConfigureAwait(false));
}
