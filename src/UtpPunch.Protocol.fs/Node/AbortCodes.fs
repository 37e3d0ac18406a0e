namespace UtpPunch.Protocol

/// The error codes of streams that were aborted here lately. The RESET that has the code may be lost, or the peer may doubt it (RFC 5961): what
/// the peer sends then belongs to no stream, and is answered with a RESET that has the code as well.
module internal AbortCodes =
    /// A code is kept for one to two of these: longer than a busy peer takes to retransmit.
    let private keptFor = Time.seconds 30

    /// Of further streams aborted within that time, a lost RESET loses the code.
    [<Literal>]
    let private Most = 1024

    let create now : AbortedStreams = { Recent = Radix.empty; Older = Radix.empty; TurnsAt = now }

    let private isEmpty (it: AbortedStreams) = Radix.count it.Recent = 0 && Radix.count it.Older = 0

    let private set (node: Node) aborted = node.Guards <- { node.Guards with Aborted = aborted }

    /// Forgets codes whose time is over.
    let settle (node: Node) =
        let it = node.Guards.Aborted

        if not (isEmpty it) && node.Now >= it.TurnsAt then
            let isOver = node.Now >= it.TurnsAt + keptFor

            set
                node
                { Recent = Radix.empty
                  Older = (if isOver then Radix.empty else it.Recent)
                  TurnsAt = it.TurnsAt + keptFor }

    let remember (node: Node) key (code: AbortCode) =
        let it = node.Guards.Aborted

        if Radix.count it.Recent < Most then
            set
                node
                { it with
                    Recent = Radix.add key code it.Recent
                    TurnsAt = if isEmpty it then node.Now + keptFor else it.TurnsAt }

    /// Another stream has the route now.
    let forget (node: Node) key =
        let it = node.Guards.Aborted

        if not (isEmpty it) then
            set node { it with Recent = Radix.remove key it.Recent; Older = Radix.remove key it.Older }

    /// The extension bits of a RESET that answers a packet; 0 if it was for no stream that was aborted with a code.
    let bitsFor (node: Node) key (remote: Endpoint) (receiveId: uint16) =
        let find codes =
            match Radix.tryFind key codes with
            | ValueSome(it: AbortCode) when it.Receive = receiveId && it.Remote.Equals remote ->
                ExtensionBits.errorCode it.Code
            | _ -> 0UL

        match find node.Guards.Aborted.Recent with
        | 0UL -> find node.Guards.Aborted.Older
        | bits -> bits
