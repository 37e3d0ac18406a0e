using UtpPunch.Protocol;

namespace UtpPunch;

// What the loop does with each effect of a step.
internal sealed partial class Engine
{
    private void Perform(Effect effect)
    {
        switch (effect)
        {
            case Effect.Send send:
                if (!_transport.Send(send.remote, send.train) && !_unreachable.Contains(send.remote))
                {
                    _unreachable.Add(send.remote);
                }

                break;
            case Effect.Deliver deliver:
                _streams.Find(deliver.connId)?.OnDeliver(deliver.payload, _slabs.Find(deliver.payload));
                break;
            case Effect.Writable writable:
                _streams.Find(writable.connId)?.OnWritable(writable.room, writable.unacknowledged);
                break;
            case Effect.PacketSized sized:
                _streams.Find(sized.connId)?.OnSized(sized.payload);
                break;
            case Effect.PathChanged changed:
                _streams.Find(changed.connId)?.OnPathChanged(changed.remote);
                break;
            case Effect.PathLost lost:
                _streams.Find(lost.connId)?.OnPathLost();
                break;
            case Effect.Asked asked:
                Decide(asked);
                break;
            case Effect.Accepted accepted:
                Accept(accepted);
                break;
            case Effect.Opened opened:
                _streams.Find(opened.connId)?.OnOpened(opened.connectionId);
                break;
            case Effect.Ended ended:
                _streams.Find(ended.connId)?.OnEnded();
                break;
            case Effect.Finished finished:
                _streams.Find(finished.connId)?.OnFinished();
                break;
            case Effect.ResetWithCode reset:
                _streams.Find(reset.connId)?.OnResetWithCode(reset.code);
                break;
            case Effect.Closed closed:
                _streams.Close(closed, StatisticsOf(closed.connId) ?? default);
                break;
            default:
                PerformForNode(effect);
                break;
        }
    }

    private void PerformForNode(Effect effect)
    {
        switch (effect)
        {
            case Effect.Foreign foreign:
                _owner.OnForeign(foreign.from, foreign.datagram);
                break;
            case Effect.Noted noted:
                _rules.Count(noted.rule);
                break;
            case Effect.SendDatagram datagram:
                _transport.Send(datagram.remote, datagram.datagram.Span, datagram.hops);
                break;
            case Effect.SendAlone alone:
                _transport.SendAlone(alone.remote, alone.duration);
                break;
            default:
                _tasks.Perform(effect);
                break;
        }
    }

    private void Decide(Effect.Asked asked)
    {
        if (_listener is { } listener)
        {
            listener.Decide(asked.connId, Addresses.ToIPEndPoint(asked.remote));
        }
        else
        {
            // The next step, which follows at once, takes the answer.
            Post(new DecidedCommand(asked.connId, isWelcome: false));
        }
    }

    private void Accept(Effect.Accepted accepted)
    {
        var stream = UtpStream.Accepted(this, accepted.connId, accepted.remote, accepted.connectionId);
        _streams.AddAccepted(accepted.connId, stream);
        if (!(accepted.isMeeting && _tasks.TryTake(accepted.remote, stream))
            && (_closing.IsUnderWay || _listener is null || !_listener.Offer(stream)))
        {
            stream.Abort();
        }
    }
}
