namespace UtpPunch.Tracing

open System
open System.Reflection
open System.Runtime.CompilerServices
open UtpPunch.Protocol

/// The graph of a node is a tree of our own types, and flat but for what stands apart below: so one walk over the fields writes it, and
/// the same walk reads it. Each type says at its first turn which fields it has; another build with other ones is told apart by that.
module private Graph =
    let home = typeof<Node>.Assembly

    let bad (what: string) = raise (FormatException("The snapshot is not one of this build: " + what + "."))

    let isAllowed (kind: Type) =
        let outer = if kind.IsGenericType then kind.GetGenericTypeDefinition() else kind

        kind.Assembly.Equals home
        || outer = typedefof<ValueOption<_>>
        || kind.FullName.StartsWith("System.ValueTuple`", StringComparison.Ordinal)

    let fieldsOf (kind: Type) =
        let flags =
            BindingFlags.Instance
            ||| BindingFlags.Public
            ||| BindingFlags.NonPublic
            ||| BindingFlags.DeclaredOnly

        let fields = ResizeArray<FieldInfo>()
        let mutable level = kind

        while not (isNull level) && level <> typeof<obj> && level <> typeof<ValueType> do
            fields.AddRange(level.GetFields flags)
            level <- level.BaseType

        let fields = fields.ToArray()
        Array.sortInPlaceWith (fun (a: FieldInfo) (b: FieldInfo) -> String.CompareOrdinal(a.Name, b.Name)) fields
        fields

    let layout (fields: FieldInfo[]) =
        Array.fold
            (fun sum (field: FieldInfo) -> Fingerprint.andLine (field.Name + ":" + field.FieldType.Name) sum)
            0UL
            fields

    let isNumber (kind: Type) =
        kind = typeof<bool>
        || kind = typeof<byte>
        || kind = typeof<int16>
        || kind = typeof<uint16>
        || kind = typeof<int>
        || kind = typeof<uint32>
        || kind = typeof<int64>

    let isDeque (kind: Type) = typeof<IItems>.IsAssignableFrom kind

    /// The types met so far, each with its fields.
    [<Sealed>]
    type Known() =
        let types = ResizeArray<struct (Type * FieldInfo[])>()

        /// The fields, and whether this is the type's first turn.
        member _.Find(kind: Type) : struct (FieldInfo[] * bool) =
            let mutable index = 0

            while index < types.Count && (let struct (known, _) = types[index] in known <> kind) do
                index <- index + 1

            if index < types.Count then
                let struct (_, fields) = types[index]
                struct (fields, false)
            else
                if not (isAllowed kind) then bad ("it has no business with " + kind.Name)

                let fields = fieldsOf kind
                types.Add(struct (kind, fields))
                struct (fields, true)

/// What the contents of streams are: bytes below a connection. All others, such as the keys of a punch, the node cannot do without.
[<Sealed>]
type private Contents(isKept: bool) =
    let mutable isInStream = false

    /// Whether bytes that are met now stand in the snapshot.
    member _.AreKept = isKept || not isInStream

    /// Before the fields of a value. What it gives is for `Leave`.
    member _.Enter(kind: Type) =
        let before = isInStream
        isInStream <- before || kind = typeof<Connection>
        before

    /// Behind them.
    member _.Leave before = isInStream <- before

[<Sealed>]
type private SnapshotWriter(payloads: bool) =
    let bytes = ResizeArray<byte>()
    let known = Graph.Known()
    let contents = Contents payloads

    member _.Bytes = bytes.ToArray()

    member _.Number(value: uint64) =
        let mutable rest = value

        while rest >= 0x80UL do
            bytes.Add(byte rest ||| 0x80uy)
            rest <- rest >>> 7

        bytes.Add(byte rest)

    /// Small negative numbers are short too.
    member this.Signed(value: int64) = this.Number(uint64 ((value <<< 1) ^^^ (value >>> 63)))

    member this.Text(text: string) =
        this.Number(uint64 text.Length)

        for letter in text do
            this.Number(uint64 letter)

    member private this.Items(element: Type, items: Array) =
        this.Number(uint64 items.Length)

        for item in items do
            this.Write(element, item)

    member private this.Fields(kind: Type, value: obj) =
        let struct (fields, isFirst) = known.Find kind

        if isFirst then this.Number(Graph.layout fields)

        let outside = contents.Enter kind

        for field in fields do
            this.Write(field.FieldType, field.GetValue value)

        contents.Leave outside

    member this.Write(declared: Type, value: obj) : unit =
        match value with
        | :? Owned as slice ->
            this.Number(uint64 slice.Length)

            if contents.AreKept then
                for item in slice.Span do
                    bytes.Add item
        | :? uint64 as number -> this.Number number
        | _ when Graph.isNumber declared -> this.Signed(Convert.ToInt64 value)
        | _ when declared.IsEnum -> this.Signed(Convert.ToInt64 value)
        | :? IItems as deque -> this.Items(declared.GetGenericArguments()[0], deque.Items)
        | _ when declared.IsValueType -> this.Fields(declared, value)
        | null -> bytes.Add 0uy
        | :? TimerQueue as agenda ->
            bytes.Add 1uy
            let mutable rest = agenda

            while TimerQueue.first rest <> Time.never do
                let struct (at, key, others) = TimerQueue.pop rest
                bytes.Add 1uy
                this.Signed(int64 at)
                this.Signed(int64 key)
                rest <- others

            bytes.Add 0uy
        | :? Array as items ->
            bytes.Add 1uy
            this.Items(declared.GetElementType(), items)
        | _ ->
            let kind = value.GetType()

            if kind = declared then
                bytes.Add 1uy
            else
                bytes.Add 2uy
                let outer = if kind.IsGenericType then kind.GetGenericTypeDefinition() else kind
                this.Text outer.FullName

            this.Fields(kind, value)

[<Sealed>]
type private SnapshotReader(bytes: byte[]) =
    let known = Graph.Known()
    let mutable contents = Contents true
    let mutable position = 0

    member _.IsAtEnd = position = bytes.Length

    member _.Byte() =
        if position >= bytes.Length then Graph.bad "it ends too early"

        position <- position + 1
        bytes[position - 1]

    member this.Number() : uint64 =
        let mutable value = 0UL
        let mutable shift = 0
        let mutable going = true

        while going do
            let part = this.Byte()
            value <- value ||| (uint64 (part &&& 0x7Fuy) <<< shift)
            shift <- shift + 7
            going <- part &&& 0x80uy <> 0uy && shift < 64

        value

    member this.Signed() : int64 =
        let value = this.Number()
        int64 (value >>> 1) ^^^ -(int64 (value &&& 1UL))

    member this.Length(limit: int) : int =
        let value = this.Number()
        if value > uint64 limit then Graph.bad "a length is absurd"
        int value

    member this.Text() = String(Array.init (this.Length 1000) (fun _ -> char (this.Number())))

    member private this.Items(element: Type) : Array =
        let items = Array.CreateInstance(element, this.Length(bytes.Length - position))

        for index in 0 .. items.Length - 1 do
            items.SetValue(this.Read element, index)

        items

    member private this.Fields(kind: Type) : obj =
        let struct (fields, isFirst) = known.Find kind

        if isFirst && this.Number() <> Graph.layout fields then
            Graph.bad ("the fields of " + kind.Name + " are others")

        let value = RuntimeHelpers.GetUninitializedObject kind

        let outside = contents.Enter kind

        for field in fields do
            field.SetValue(value, this.Read field.FieldType)

        contents.Leave outside
        value

    member private this.Slice() : Owned =
        let length = this.Length(if contents.AreKept then bytes.Length - position else 1 <<< 30)

        if length = 0 then
            Owned.Empty
        elif contents.AreKept then
            position <- position + length
            Owned(Array.sub bytes (position - length) length)
        else
            Owned(Array.zeroCreate<byte> length)

    member private this.TimerQueue() : TimerQueue =
        let mutable agenda = TimerQueue.empty

        while this.Byte() <> 0uy do
            let at = Time.microseconds (this.Signed())
            agenda <- TimerQueue.add at (int (this.Signed())) agenda

        agenda

    member private this.Deque(declared: Type) : obj =
        let flags = BindingFlags.Instance ||| BindingFlags.Public ||| BindingFlags.NonPublic
        let element = declared.GetGenericArguments()[0]
        let constructor' = declared.GetConstructor(flags, null, [| element.MakeArrayType() |], null)
        constructor'.Invoke [| box (this.Items element) |]

    member private this.Reference(declared: Type) : obj =
        match this.Byte() with
        | 0uy -> null
        | 1uy when declared = typeof<TimerQueue> -> box (this.TimerQueue())
        | 1uy when declared.IsArray -> box (this.Items(declared.GetElementType()))
        | 1uy -> this.Fields declared
        | _ ->
            let outer = Graph.home.GetType(this.Text())

            if isNull outer then Graph.bad "there is no such type"

            let kind =
                if outer.IsGenericTypeDefinition then
                    outer.MakeGenericType(declared.GetGenericArguments())
                else
                    outer

            if not (declared.IsAssignableFrom kind) then
                Graph.bad ("no " + kind.Name + " belongs there")

            this.Fields kind

    /// Whether the contents of streams stand in it; told before a node is read.
    member _.HasContents
        with set isKept = contents <- Contents isKept

    member this.Read(declared: Type) : obj =
        if declared = typeof<Owned> then box (this.Slice())
        elif declared = typeof<uint64> then box (this.Number())
        elif Graph.isNumber declared then Convert.ChangeType(this.Signed(), declared)
        elif declared.IsEnum then Enum.ToObject(declared, this.Signed())
        elif Graph.isDeque declared then this.Deque declared
        elif declared.IsValueType then this.Fields declared
        else this.Reference declared

module Snapshot =
    [<Literal>]
    let private Magic = "utp1"

    [<CompiledName "Take">]
    let take (payloads: bool) (node: Node) : byte[] =
        let writer = SnapshotWriter payloads
        writer.Text Magic
        writer.Number(if payloads then 1UL else 0UL)
        writer.Write(typeof<Node>, box node)
        writer.Bytes

    [<CompiledName "Restore">]
    let restore (snapshot: byte[]) : Node =
        let reader = SnapshotReader snapshot

        try
            if reader.Text() <> Magic then Graph.bad "it begins otherwise"

            reader.HasContents <- (reader.Number() = 1UL)

            match reader.Read typeof<Node> with
            | :? Node as node when reader.IsAtEnd -> node
            | _ -> Graph.bad "there is more than a node"
        with
        | :? FormatException -> reraise ()
        | error -> raise (FormatException("The snapshot is not one of this build: " + error.Message, error))
