namespace UtpPunch.Protocol

/// What clients report of punches. A report counts if its sender was introduced by this server a short time ago, once for each introduction: a client can
/// forge no more reports than it has introductions, and none of others. A report is not answered.
module internal Reports =
    /// A punch takes ten seconds unless the client says otherwise, and the higher peer waits for three more.
    let private validFor = Time.seconds 30

    let private forget (server: Rendezvous) =
        while TimerQueue.first server.ReportTimers <= server.Now do
            let struct (_, key, rest) = TimerQueue.pop server.ReportTimers
            server.ReportTimers <- rest

            match Radix.tryFind key server.Reportable with
            | ValueSome it when it.Until <= server.Now -> server.Reportable <- Radix.remove key server.Reportable
            | _ -> ()

    /// From now on clients may report of an introduction. As many introductions are kept as registrations may be; there are no reports of further ones.
    let expect (server: Rendezvous) (nonce: Owned) (clients: PairedPeer[]) =
        forget server

        if TimerQueue.count server.ReportTimers < server.Options.MaxRegistrations then
            let key = RendezvousState.keyOfNonce nonce.AsBorrowed
            let until = server.Now + validFor
            let clients = clients |> Array.map (fun it -> struct (it.Remote, it.Registration.Handle))
            server.Reportable <- Radix.add key { Nonce = nonce; Clients = clients; Until = until } server.Reportable
            server.ReportTimers <- TimerQueue.add until key server.ReportTimers

    /// A client with a valid cookie has reported.
    let receive
        (server: Rendezvous)
        (remote: Endpoint)
        (handle: uint64)
        (introduction: Borrowed)
        (report: MeetingReport)
        =
        let key = RendezvousState.keyOfNonce introduction
        let isSender (struct (client: Endpoint, known: uint64)) = known = handle && client.Equals remote

        match Radix.tryFind key server.Reportable with
        | ValueSome it when it.Until > server.Now && introduction.Equals it.Nonce && Array.exists isSender it.Clients ->
            let left = it.Clients |> Array.filter (isSender >> not)
            server.Reportable <- Radix.add key { it with Clients = left } server.Reportable
            let kind = MeetingReport.key report
            let before = Radix.tryFind kind server.Reported |> ValueOption.defaultValue 0L
            server.Reported <- Radix.add kind (before + 1L) server.Reported
        | _ -> server.Totals.ReportsRefused <- server.Totals.ReportsRefused + 1L

    let counts (server: Rendezvous) : MeetingReportCount[] =
        let all = ResizeArray()
        Radix.iterate (fun key count -> all.Add(MeetingReport.ofKey key count)) server.Reported
        all.ToArray()
