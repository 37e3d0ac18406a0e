namespace UtpPunch.Tracing

open System
open System.Text
open UtpPunch.Protocol
open TraceWords

module private OptionFields =
    let private flag (value: bool) = if value then "true" else "false"

    let stream (prefix: string) (it: StreamOptions) : struct (string * string)[] =
        [| struct (prefix + "sendBuffer", number it.SendBuffer)
           struct (prefix + "receiveBuffer", number it.ReceiveBuffer)
           struct (prefix + "packetSize", number it.PacketSize)
           struct (prefix + "largestPacket", number it.LargestPacket)
           struct (prefix + "packetWindow", number it.PacketWindow)
           struct (prefix + "giveUpAfter", duration it.GiveUpAfter)
           struct (prefix + "idleTimeout", duration it.IdleTimeout)
           struct (prefix + "keepAlive", duration it.KeepAlive)
           struct (prefix + "initialRto", duration it.InitialRto)
           struct (prefix + "minRto", duration it.MinRto)
           struct (prefix + "maxRto", duration it.MaxRto)
           struct (prefix + "targetDelay", duration it.TargetDelay)
           struct (prefix + "noDelay", flag it.NoDelay) |]

    let node (it: NodeOptions) : struct (string * string)[] =
        Array.concat
            [| [| struct ("dialect", dialect it.Dialect)
                  struct ("maxConnections", number it.MaxConnections)
                  struct ("maxHalfOpen", number it.MaxHalfOpen)
                  struct ("halfOpenTimeout", duration it.HalfOpenTimeout) |]
               stream "bep29." it.Bep29
               stream "utpPunch." it.UtpPunch |]

    let private int32Of (text: string) = int (within (int64 Int32.MinValue) (int64 Int32.MaxValue) text)

    let private flagOf (text: string) =
        match text with
        | "true" -> true
        | "false" -> false
        | _ -> bad "true or false" text

    let parseStream (find: string -> string) (prefix: string) : StreamOptions =
        { SendBuffer = int32Of (find (prefix + "sendBuffer"))
          ReceiveBuffer = int32Of (find (prefix + "receiveBuffer"))
          PacketSize = int32Of (find (prefix + "packetSize"))
          LargestPacket = int32Of (find (prefix + "largestPacket"))
          PacketWindow = int32Of (find (prefix + "packetWindow"))
          GiveUpAfter = parseDuration (find (prefix + "giveUpAfter"))
          IdleTimeout = parseDuration (find (prefix + "idleTimeout"))
          KeepAlive = parseDuration (find (prefix + "keepAlive"))
          InitialRto = parseDuration (find (prefix + "initialRto"))
          MinRto = parseDuration (find (prefix + "minRto"))
          MaxRto = parseDuration (find (prefix + "maxRto"))
          TargetDelay = parseDuration (find (prefix + "targetDelay"))
          NoDelay = flagOf (find (prefix + "noDelay")) }

    let parseNode (find: string -> string) : NodeOptions =
        { Dialect = parseDialect (find "dialect")
          MaxConnections = int32Of (find "maxConnections")
          MaxHalfOpen = int32Of (find "maxHalfOpen")
          HalfOpenTimeout = parseDuration (find "halfOpenTimeout")
          Bep29 = parseStream find "bep29."
          UtpPunch = parseStream find "utpPunch." }

[<Sealed; NoComparison; NoEquality>]
type TraceNode(name: string, endpoint: Endpoint, options: NodeOptions, seed: Owned, now: Instant) =
    member _.Name = name
    member _.Endpoint = endpoint
    member _.Options = options
    member _.Seed = seed
    member _.Now = now
    member _.Create() = Node.create options seed now

    override _.ToString() =
        let text = StringBuilder("#node ")
        text.Append(name).Append(' ').Append(TraceWords.endpoint endpoint) |> ignore
        text.Append(" now=").Append(number (int64 now)).Append(" seed=").Append(hex seed.Span) |> ignore

        for struct (key, value) in OptionFields.node options do
            text.Append(' ').Append(key).Append('=').Append(value) |> ignore

        text.ToString()

    static member Parse(line: string) =
        let words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries)

        if words.Length < 3 || words[0] <> "#node" then
            raise (FormatException "A #node line has a name, an address and options.")

        let find (key: string) =
            match
                words
                |> Array.tryFind (fun word ->
                    word.Length > key.Length
                    && word[key.Length] = '='
                    && word.StartsWith(key, StringComparison.Ordinal))
            with
            | Some word -> word.Substring(key.Length + 1)
            | None -> raise (FormatException("The node " + words[1] + " has no " + key + "=."))

        let seed = Owned(parseHex (find "seed"))

        if seed.Length <> 32 then bad "seed of 32 bytes" (hex seed.Span)

        TraceNode(
            words[1],
            parseEndpoint words[2],
            OptionFields.parseNode find,
            seed,
            Time.microseconds (parseNumber (find "now"))
        )
