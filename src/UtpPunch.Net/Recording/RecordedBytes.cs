using System.Buffers.Binary;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>Values one behind the other in one array, which grows: what is recorded makes no garbage.</summary>
internal sealed class RecordedBytes(int capacity)
{
    // What an object counts as, in bytes: those that are rare are kept as they are, for nothing in them ever changes.
    private const int ObjectSize = 256;

    private readonly List<object> _objects = [];
    private byte[] _bytes = GC.AllocateUninitializedArray<byte>(capacity);

    public int Length { get; private set; }

    public int Capacity => _bytes.Length;

    /// <summary>Forgets what was added behind this length.</summary>
    public void Truncate(int length)
    {
        Length = length;
        if (length == 0)
        {
            _objects.Clear();
        }
    }

    public RecordedBytes Copy()
    {
        var copy = new RecordedBytes(Length);
        copy.Add(_bytes.AsSpan(0, Length));
        copy._objects.AddRange(_objects);
        return copy;
    }

    public Reader Read() => new(_bytes, Length, _objects);

    public void Add(byte value) => Take(sizeof(byte))[0] = value;

    public void Add(ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Take(sizeof(ushort)), value);

    public void Add(int value) => BinaryPrimitives.WriteInt32LittleEndian(Take(sizeof(int)), value);

    public void Add(long value) => BinaryPrimitives.WriteInt64LittleEndian(Take(sizeof(long)), value);

    public void Add(ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Take(sizeof(ulong)), value);

    public void Add(ReadOnlySpan<byte> bytes) => bytes.CopyTo(Take(bytes.Length));

    public void Add(Endpoint value)
    {
        Add(value.High);
        Add(value.Low);
        Add((int)value.Scope);
        Add(value.Port);
        Add(value.Via);
    }

    /// <summary>Adds a value that nobody will change, as it is.</summary>
    public void AddObject(object value)
    {
        BinaryPrimitives.WriteInt32LittleEndian(Take(ObjectSize), _objects.Count);
        _objects.Add(value);
    }

    /// <summary>Room for so many bytes, to be written at once.</summary>
    public Span<byte> Take(int count)
    {
        if (_bytes.Length - Length < count)
        {
            Array.Resize(ref _bytes, (int)Math.Min(Array.MaxLength, Math.Max((long)Length + count, 2L * _bytes.Length)));
        }

        var room = _bytes.AsSpan(Length, count);
        Length += count;
        return room;
    }

    /// <summary>Takes the values out again, in their order.</summary>
    internal struct Reader(byte[] bytes, int length, List<object> objects)
    {
        private int _position;

        public readonly bool IsAtEnd => _position == length;

        public readonly byte Peek() => bytes[_position];

        public byte Byte() => Bytes(sizeof(byte))[0];

        public ushort UInt16() => BinaryPrimitives.ReadUInt16LittleEndian(Bytes(sizeof(ushort)));

        public int Int32() => BinaryPrimitives.ReadInt32LittleEndian(Bytes(sizeof(int)));

        public long Int64() => BinaryPrimitives.ReadInt64LittleEndian(Bytes(sizeof(long)));

        public ulong UInt64() => BinaryPrimitives.ReadUInt64LittleEndian(Bytes(sizeof(ulong)));

        public Endpoint Endpoint() => new(UInt64(), UInt64(), (uint)Int32(), UInt16(), UInt16());

        public object Object() => objects[BinaryPrimitives.ReadInt32LittleEndian(Bytes(ObjectSize))];

        public ReadOnlySpan<byte> Bytes(int count)
        {
            _position += count;
            return bytes.AsSpan(_position - count, count);
        }
    }
}
