namespace UtpPunch;

/// <summary>
/// What the instances of a rendezvous server share: who waits in which room at which instance, and messages between instances. Its members return at once,
/// and are called by the server's thread; what is asked may be lost.
/// </summary>
internal interface IRoomStore
{
    /// <summary>Gets the name of this instance, which no other one has. It is not 0.</summary>
    ulong Instance { get; }

    /// <summary>Begins. The listener is called from any thread.</summary>
    void Start(IRoomStoreListener listener);

    /// <summary>A client waits in a room, for that time unless it is shared again.</summary>
    void Share(ReadOnlyMemory<byte> room, int number, bool stays, TimeSpan lifetime);

    /// <summary>It does not wait there any more.</summary>
    void Unshare(ReadOnlyMemory<byte> room, int number);

    /// <summary>Sends a message to another instance.</summary>
    void Tell(ulong instance, ReadOnlyMemory<byte> message);
}

/// <summary>Learns what the store knows. The arrays are not changed afterwards.</summary>
internal interface IRoomStoreListener
{
    /// <summary>Others wait in the room of a client that was shared.</summary>
    void OnMembers(int number, (ulong Instance, int Number)[] others);

    /// <summary>Another instance has sent a message.</summary>
    void OnTold(ulong instance, byte[] message);

    /// <summary>A message had no receiver.</summary>
    void OnUndelivered(byte[] message);

    /// <summary>The store is back, and may have forgotten what it knew.</summary>
    void OnRestored();
}
