/// A protocol of its own: one message at a time, which is retransmitted until it is acknowledged (the alternating bit protocol). Both sides
/// are values. A step takes what has happened, and returns the next value with the datagrams to send.
module Samples.StopAndWait

open UtpPunch.Protocol

type Sender = { Messages: byte list; Bit: byte; Deadline: Instant }

type Receiver = { Expected: byte; Delivered: byte list }

let private timeout = Time.milliseconds 100

let private send (now: Instant) (sender: Sender) =
    match sender.Messages with
    | [] -> { sender with Deadline = Time.never }, []
    | message :: _ -> { sender with Deadline = now + timeout }, [ [| sender.Bit; message |] ]

let start now messages = send now { Messages = messages; Bit = 0uy; Deadline = Time.never }

/// The deadline has passed.
let wake now (sender: Sender) = send now sender

let acknowledged now (datagram: byte[]) (sender: Sender) =
    if datagram[0] = sender.Bit && not sender.Messages.IsEmpty then
        send now { sender with Messages = sender.Messages.Tail; Bit = 1uy - sender.Bit }
    else
        sender, []

let receive (datagram: byte[]) (receiver: Receiver) =
    let next =
        if datagram[0] = receiver.Expected then
            { Expected = 1uy - receiver.Expected; Delivered = datagram[1] :: receiver.Delivered }
        else
            receiver

    next, [ [| datagram[0] |] ]
