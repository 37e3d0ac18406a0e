namespace UtpPunch;

/// <summary>Enumerates the control messages of a received message (cmsg(3)).</summary>
internal unsafe ref struct ControlMessages(Libc.Message* message)
{
    private byte* _next = message->Control;
    private readonly byte* _end = message->Control + message->ControlLength;

    public int Level { get; private set; }

    public int Type { get; private set; }

    public byte* Data { get; private set; }

    public int Length { get; private set; }

    /// <summary>Advances to the next control message; <see langword="false"/> if there is none.</summary>
    public bool Next()
    {
        if (_end - _next < sizeof(Libc.ControlHeader))
        {
            return false;
        }

        var header = (Libc.ControlHeader*)_next;
        if (header->Length < (nuint)sizeof(Libc.ControlHeader) || header->Length > (nuint)(_end - _next))
        {
            return false;
        }

        Level = header->Level;
        Type = header->Type;
        Data = _next + sizeof(Libc.ControlHeader);
        Length = (int)header->Length - sizeof(Libc.ControlHeader);
        var aligned = (header->Length + 7) & ~(nuint)7;
        _next = aligned > (nuint)(_end - _next) ? _end : _next + aligned;
        return true;
    }
}
