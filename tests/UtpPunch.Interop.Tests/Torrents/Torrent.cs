using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>A torrent of one file (BEP 3) whose content follows from a seed, in a folder of its own that is removed with this object.</summary>
[SuppressMessage("Security", "CA5350", Justification = "BEP 3 names pieces and torrents by SHA-1.")]
internal sealed class Torrent : IDisposable
{
    public const int PieceLength = 64 * 1024;

    private const string Name = "content";

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("utp-punch-torrent-");
    private readonly byte[] _hashes;

    /// <summary>Writes the metainfo file.</summary>
    public Torrent(int seed, int length)
    {
        Content = PeerNoise.Bytes(seed, length);
        _hashes = HashesOf(Content);
        var info = InfoOf(length, _hashes);
        InfoHash = SHA1.HashData(info);
        File.WriteAllBytes(Path.Combine(Folder, "metainfo.torrent"), [.. "d4:info"u8, .. info, .. "e"u8]);
    }

    /// <summary>The folder of the metainfo file, and of the content if it is there.</summary>
    public string Folder => _folder.FullName;

    public byte[] Content { get; }
    public byte[] InfoHash { get; }
    public int PieceCount => _hashes.Length / SHA1.HashSizeInBytes;

    /// <summary>Writes the content, for a peer that seeds.</summary>
    public Task WriteContentAsync() => File.WriteAllBytesAsync(Path.Combine(Folder, Name), Content);

    /// <summary>Checks the hashes of the pieces of a content that was downloaded.</summary>
    public void Verify(byte[] content) => Check.Equal(_hashes.AsSpan(), HashesOf(content), "the hashes of the pieces");

    public void Dispose() => _folder.Delete(recursive: true);

    private static byte[] HashesOf(byte[] content) => [.. content.Chunk(PieceLength).SelectMany(SHA1.HashData)];

    // Bencoding sorts the keys of a dictionary.
    private static byte[] InfoOf(int length, byte[] hashes)
    {
        var head = $"d6:lengthi{length}e4:name{Name.Length}:{Name}12:piece lengthi{PieceLength}e6:pieces{hashes.Length}:";
        return [.. Encoding.ASCII.GetBytes(head), .. hashes, .. "e"u8];
    }
}
