using System.Buffers.Binary;
using System.Net.Security;
using System.Security.Cryptography;
using System.Text;

// One program sends a file, the other one receives it into its current folder. Both compare its hash.
const int ChunkSize = 256 * 1024;
const int HashSize = 32;
switch (args)
{
    case ["send", var path, .. var how] when File.Exists(path):
        return await Peer.RunAsync(how, (tls, _) => SendAsync(path, tls));
    case ["receive", .. var how]:
        return await Peer.RunAsync(how, (tls, _) => ReceiveAsync(tls));
    case ["send", var path, ..]:
        Console.Error.WriteLine($"{path} is not there");
        return 1;
    default:
        Console.Error.WriteLine($"dotnet run -- send FILE HOW\ndotnet run -- receive HOW\nwhere HOW is one of\n{Peer.Usage}");
        return 2;
}

// The length of the name, the name, the length of the file, the file. The receiver answers with the hash of what it has.
static async Task SendAsync(string path, SslStream tls)
{
    await using var file = File.OpenRead(path);
    var name = Encoding.UTF8.GetBytes(Path.GetFileName(path));
    var header = new byte[2 + name.Length + 8];
    BinaryPrimitives.WriteUInt16BigEndian(header, (ushort)name.Length);
    name.CopyTo(header, 2);
    BinaryPrimitives.WriteInt64BigEndian(header.AsSpan(2 + name.Length), file.Length);
    await tls.WriteAsync(header);
    var hash = await CopyAsync(file, tls, file.Length);
    var theirs = new byte[HashSize];
    await tls.ReadExactlyAsync(theirs);
    await tls.ShutdownAsync();
    Report(hash.AsSpan().SequenceEqual(theirs), $"sent {file.Length} bytes", hash);
}

static async Task ReceiveAsync(SslStream tls)
{
    var lengths = new byte[8];
    await tls.ReadExactlyAsync(lengths.AsMemory(0, 2));
    var name = new byte[BinaryPrimitives.ReadUInt16BigEndian(lengths)];
    await tls.ReadExactlyAsync(name);
    await tls.ReadExactlyAsync(lengths);
    var length = BinaryPrimitives.ReadInt64BigEndian(lengths);
    // Only the last part: the peer must not choose a folder.
    var path = Path.GetFileName(Encoding.UTF8.GetString(name).Replace('\\', '/'));
    if (path is "" or "." or ".." || length < 0)
    {
        throw new IOException("the peer sends no valid file name or length");
    }

    // An existing file stays: this throws.
    await using var file = new FileStream(path, FileMode.CreateNew);
    var hash = await CopyAsync(tls, file, length);
    await tls.WriteAsync(hash);
    // The end of the peer, which has the hash.
    Report(await tls.ReadAsync(new byte[1]) == 0, $"received {path}, {length} bytes", hash);
}

static async Task<byte[]> CopyAsync(Stream from, Stream to, long length)
{
    using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    var buffer = new byte[ChunkSize];
    for (var left = length; left > 0;)
    {
        var count = await from.ReadAsync(buffer.AsMemory(0, (int)Math.Min(left, buffer.Length)));
        if (count == 0)
        {
            throw new IOException($"the end comes {left} bytes too early");
        }

        hash.AppendData(buffer, 0, count);
        await to.WriteAsync(buffer.AsMemory(0, count));
        left -= count;
    }

    return hash.GetHashAndReset();
}

static void Report(bool isWhole, string what, byte[] hash)
{
    if (!isWhole)
    {
        throw new IOException("the peer has received something else");
    }

    Console.WriteLine($"{what}, SHA-256 {Convert.ToHexStringLower(hash)}");
}
