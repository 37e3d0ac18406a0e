namespace UtpPunch.Protocol

[<Struct; NoComparison>]
type SeqNr =
    val Value: uint16
    new(value) = { Value = value }
    static member (+)(origin: SeqNr, count: int) = SeqNr(uint16 (int origin.Value + count))
    static member (-)(target: SeqNr, origin: SeqNr) : int = int (int16 (target.Value - origin.Value))
    override this.ToString() = this.Value.ToString()
