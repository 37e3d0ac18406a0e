namespace UtpPunch.Protocol

open System
open System.Numerics

[<AllowNullLiteral; AbstractClass>]
type private Trie<'T>() = class end

[<Sealed>]
type private Leaf<'T>(key: int, value: 'T) =
    inherit Trie<'T>()
    member _.Key = key
    member _.Value = value

/// `Slots` has a bit for each child that is there; `Children` holds just those, in the order of their bits.
[<Sealed>]
type private Branch<'T>(slots: uint32, children: Trie<'T>[]) =
    inherit Trie<'T>()
    member _.Slots = slots
    member _.Children = children

[<Sealed>]
type internal Radix<'T> private (root: Trie<'T>, count: int) =
    static member val internal Empty = Radix<'T>(null, 0)
    member private _.Root = root
    member internal _.Count = count

    // The lowest bit comes after the next twelve: names of streams are even if they were opened here, and odd if not. It does not come last, since of the
    // keys that are hashes of 16 bits two often differ in nothing else.
    static member inline private Slot(key: int, level: int) =
        let key = uint32 key
        let turned = ((key >>> 1) &&& 0xFFFu) ||| ((key &&& 1u) <<< 12) ||| (key &&& 0xFFFFE000u)
        1u <<< (int (turned >>> (4 * level)) &&& 15)

    static member inline private Place(slots: uint32, slot: uint32) = BitOperations.PopCount(slots &&& (slot - 1u))

    static member private Search(trie: Trie<'T>, level: int, key: int) : 'T voption =
        match trie with
        | :? Branch<'T> as branch ->
            let slot = Radix<'T>.Slot(key, level)

            if branch.Slots &&& slot = 0u then
                ValueNone
            else
                Radix<'T>.Search(branch.Children[Radix<'T>.Place(branch.Slots, slot)], level + 1, key)
        | :? Leaf<'T> as leaf when leaf.Key = key -> ValueSome leaf.Value
        | _ -> ValueNone

    // Static, since closures would be allocated with every call.
    static member private Insert(trie: Trie<'T>, level: int, leaf: Leaf<'T>, grown: byref<int>) : Trie<'T> =
        match trie with
        | :? Branch<'T> as branch ->
            let slot = Radix<'T>.Slot(leaf.Key, level)
            let place = Radix<'T>.Place(branch.Slots, slot)

            if branch.Slots &&& slot = 0u then
                grown <- 1
                let children = Array.zeroCreate (branch.Children.Length + 1)
                Array.blit branch.Children 0 children 0 place
                children[place] <- leaf
                Array.blit branch.Children place children (place + 1) (branch.Children.Length - place)
                Branch<'T>(branch.Slots ||| slot, children)
            else
                let child = Radix<'T>.Insert(branch.Children[place], level + 1, leaf, &grown)
                let children = Array.copy branch.Children
                children[place] <- child
                Branch<'T>(branch.Slots, children)
        | :? Leaf<'T> as other when other.Key <> leaf.Key ->
            // Push the other one level down; the keys differ in some bit, so this ends.
            Radix<'T>.Insert(Branch<'T>(Radix<'T>.Slot(other.Key, level), [| other |]), level, leaf, &grown)
        | present ->
            if isNull present then grown <- 1

            leaf

    static member private Without(trie: Trie<'T>, level: int, key: int) : Trie<'T> =
        match trie with
        | :? Branch<'T> as branch ->
            let slot = Radix<'T>.Slot(key, level)

            if branch.Slots &&& slot = 0u then
                trie
            else
                let place = Radix<'T>.Place(branch.Slots, slot)
                let child = branch.Children[place]
                let rest = Radix<'T>.Without(child, level + 1, key)

                if Object.ReferenceEquals(rest, child) then
                    trie
                elif not (isNull rest) then
                    let children = Array.copy branch.Children
                    children[place] <- rest
                    Branch<'T>(branch.Slots, children)
                elif branch.Children.Length = 1 then
                    null
                else
                    Branch<'T>(branch.Slots ^^^ slot, Array.removeAt place branch.Children)
        | :? Leaf<'T> as leaf when leaf.Key = key -> null
        | other -> other

    member internal _.TryFind(key: int) = Radix<'T>.Search(root, 0, key)

    member internal _.Add(key: int, value: 'T) =
        let mutable grown = 0
        let root = Radix<'T>.Insert(root, 0, Leaf<'T>(key, value), &grown)
        Radix<'T>(root, count + grown)

    member internal this.Remove(key: int) =
        let rest = Radix<'T>.Without(root, 0, key)

        if Object.ReferenceEquals(rest, root) then this else Radix<'T>(rest, count - 1)

    member internal _.Iterate(action: int -> 'T -> unit) =
        let rec visit (trie: Trie<'T>) =
            match trie with
            | :? Branch<'T> as branch -> Array.iter visit branch.Children
            | :? Leaf<'T> as leaf -> action leaf.Key leaf.Value
            | _ -> ()

        visit root

module internal Radix =
    let empty<'T> = Radix<'T>.Empty
    let count (map: Radix<'T>) = map.Count
    let tryFind key (map: Radix<'T>) = map.TryFind key
    let add key value (map: Radix<'T>) = map.Add(key, value)
    let remove key (map: Radix<'T>) = map.Remove key
    let iterate action (map: Radix<'T>) = map.Iterate action
