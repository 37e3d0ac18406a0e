using System.Threading.Channels;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Stays in a room. The results of the punches with all peers that enter are read in the order in which the punches end.</summary>
internal sealed class StayCommand(Func<int, Event> begin, ServerLookup? lookup = null) : ICommand, INodeTask
{
    // Further results are dropped until some were read; those peers give up.
    private const int MaxWaiting = 128;

    private readonly Channel<UtpPunchResult> _results = Channel.CreateBounded<UtpPunchResult>(
        new BoundedChannelOptions(MaxWaiting) { FullMode = BoundedChannelFullMode.Wait });
    private readonly TaskName _name = new();

    public ChannelReader<UtpPunchResult> Results => _results.Reader;

    /// <summary>Its name in the core, once it was collected.</summary>
    public int TaskId => _name.Id;

    public bool IsLegacy => false;

    public void Collect(Engine engine, List<Event> events)
    {
        if (_name.TryBegin(engine, this))
        {
            events.Add(begin(_name.Id));
        }
    }

    /// <summary>Leaves the room.</summary>
    public void Leave(Engine engine) => _name.Cancel(engine);

    public void Abandon(Failure failure) => OnLost(failure);

    public void OnRegistered(Endpoint observed, PortPrediction mapping)
    {
    }

    public void OnIntroduced(Endpoint peer)
    {
    }

    public void OnServerSilent() => lookup?.Begin(_name.Engine!, _name.Id);

    public bool OnPunched(PunchReport report, Task<UtpStream>? opened)
    {
        var result = UtpPunchedPath.ResultOf(_name.Engine!.Owner, report, opened, isNpm: false);
        if (result.Stage is UtpPunchStage.ServerSilent or UtpPunchStage.ServerFull or UtpPunchStage.RoomFull or UtpPunchStage.NoPeer)
        {
            _results.Writer.TryComplete(Failure.Of(result).ToException());
            return false;
        }

        if (!_results.Writer.TryWrite(result) && result.Path is { } path)
        {
            _name.Engine!.Telemetry.OnRoomStreamDropped(path.RemoteEndPoint);
            path.GiveUp();
        }

        return !_name.IsCancelled;
    }

    public void OnLost(Failure failure) => _results.Writer.TryComplete(failure.ToException());
}
