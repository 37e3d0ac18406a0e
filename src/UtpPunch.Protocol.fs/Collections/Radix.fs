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

    static member inline private Slot(key: int, level: int) = 1u <<< ((key >>> (5 * level)) &&& 31)

    static member inline private Place(slots: uint32, slot: uint32) = BitOperations.PopCount(slots &&& (slot - 1u))

    member internal _.TryFind(key: int) =
        let rec search (trie: Trie<'T>) level =
            match trie with
            | :? Branch<'T> as branch ->
                let slot = Radix<'T>.Slot(key, level)

                if branch.Slots &&& slot = 0u then
                    ValueNone
                else
                    search branch.Children[Radix<'T>.Place(branch.Slots, slot)] (level + 1)
            | :? Leaf<'T> as leaf when leaf.Key = key -> ValueSome leaf.Value
            | _ -> ValueNone

        search root 0

    member internal _.Add(key: int, value: 'T) =
        let mutable grown = 0

        let rec insert (trie: Trie<'T>) level : Trie<'T> =
            match trie with
            | :? Branch<'T> as branch ->
                let slot = Radix<'T>.Slot(key, level)
                let place = Radix<'T>.Place(branch.Slots, slot)

                if branch.Slots &&& slot = 0u then
                    grown <- 1
                    let children = Array.zeroCreate (branch.Children.Length + 1)
                    Array.blit branch.Children 0 children 0 place
                    children[place] <- Leaf<'T>(key, value)
                    Array.blit branch.Children place children (place + 1) (branch.Children.Length - place)
                    Branch<'T>(branch.Slots ||| slot, children)
                else
                    let children = Array.copy branch.Children
                    children[place] <- insert branch.Children[place] (level + 1)
                    Branch<'T>(branch.Slots, children)
            | :? Leaf<'T> as leaf when leaf.Key <> key ->
                // Push the leaf one level down; the keys differ in some bit, so this ends.
                insert (Branch<'T>(Radix<'T>.Slot(leaf.Key, level), [| leaf |])) level
            | present ->
                if isNull present then grown <- 1

                Leaf<'T>(key, value)

        let root = insert root 0
        Radix<'T>(root, count + grown)

    member internal this.Remove(key: int) =
        let rec remove (trie: Trie<'T>) level : Trie<'T> =
            match trie with
            | :? Branch<'T> as branch ->
                let slot = Radix<'T>.Slot(key, level)

                if branch.Slots &&& slot = 0u then
                    trie
                else
                    let place = Radix<'T>.Place(branch.Slots, slot)
                    let child = branch.Children[place]
                    let rest = remove child (level + 1)

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

        let rest = remove root 0

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
