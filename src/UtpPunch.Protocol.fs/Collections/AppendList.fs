namespace UtpPunch.Protocol

/// What the versions of an `AppendList` share.
[<Sealed; AllowNullLiteral>]
type internal AppendStore<'T>(items: 'T[]) =
    member val Items = items with get, set
    /// How many items the longest version has.
    member val Used = items.Length with get, set

/// A list that grows at its end and never changes otherwise: a value. Its versions share an array, of which each knows how many items are
/// its own, so that appending costs what the item costs. To append to a version that is not the longest copies it.
[<Struct; NoComparison; NoEquality>]
type internal AppendList<'T> =
    val private store: AppendStore<'T>
    val private count: int

    private new(store, count) = { store = store; count = count }
    /// The array belongs to the list from then on.
    new(items: 'T[]) = AppendList(AppendStore items, items.Length)

    member this.Count = this.count

    member this.Item
        with get index = this.store.Items[index]

    member this.Add(value: 'T) : AppendList<'T> =
        let store =
            if this.count = this.store.Used then
                this.store
            else
                AppendStore(Array.sub this.store.Items 0 this.count)

        if this.count = store.Items.Length then
            let grown = Array.zeroCreate (max 4 (2 * this.count))
            System.Array.Copy(store.Items, grown, this.count)
            store.Items <- grown

        store.Items[this.count] <- value
        store.Used <- this.count + 1
        AppendList(store, this.count + 1)
