namespace UtpPunch.Protocol

open System

/// A punch without a rendezvous.
module internal OfferedPunch =
    /// The punch of two peers whose offers have come by a channel of the application's; none if the other offer cannot be read, or is this
    /// node's own.
    let tryCreate now random taskId (plan: MeetPlan) own peer answers : Punch voption =
        match Offer.read own, Offer.read peer with
        | ValueSome own, ValueSome peer when not (own.Nonce.Equals peer.Nonce) ->
            let lower = own.Nonce.Span.SequenceCompareTo peer.Nonce.Span < 0
            let first, second = if lower then own.Nonce, peer.Nonce else peer.Nonce, own.Nonce
            let key = Secrets.punch plan.Room Borrowed.Empty first.AsBorrowed second.AsBorrowed

            Punch.create
                { TaskId = taskId
                  Group = taskId
                  Peer = Owned.Empty
                  Plan = plan
                  Start = (if answers then PunchStart.Answering else PunchStart.Offered)
                  Handle = 0UL
                  Introduction = Owned.Empty
                  Key = key
                  Session = Secrets.session key
                  IsLower = lower
                  Observed = own.Observed
                  Mapping = own.Mapping
                  PeerObserved = peer.Observed
                  PeerOffer = peer
                  Random = random }
                now
            |> ValueSome
        | _ -> ValueNone
