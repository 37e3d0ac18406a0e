namespace UtpPunch.Sim

open System
open UtpPunch.Protocol

/// The result of one receive call.
module Reception =
    /// Adjacent datagrams of one size are in one buffer, as receive offload returns them; the last may be shorter. The buffers are new.
    let events (datagrams: Datagram[]) (arrivedAt: Instant) : Event[] =
        let count = datagrams.Length
        let batch = ResizeArray<Event> count
        let mutable first = 0

        while first < count do
            let from = datagrams[first].From
            let size = datagrams[first].Bytes.Length
            let mutable last = first

            while last + 1 < count
                  && datagrams[last + 1].From.Equals from
                  && datagrams[last].Bytes.Length = size
                  && size > 0
                  && datagrams[last + 1].Bytes.Length <= size
                  && datagrams[last + 1].Bytes.Length > 0 do
                last <- last + 1

            let length = (last - first) * size + datagrams[last].Bytes.Length
            let whole = GC.AllocateUninitializedArray<byte> length

            for at in first..last do
                datagrams[at].Bytes.CopyTo(whole, (at - first) * size)

            batch.Add(Event.Received(from, Datagrams(whole, 0, length, max 1 size, arrivedAt)))

            first <- last + 1

        batch.ToArray()
