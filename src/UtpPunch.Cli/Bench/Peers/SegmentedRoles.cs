using System.Net;

namespace UtpPunch.Cli.Bench;

/// <summary>
/// The limit of Linux' segmentation offload: one system call sends or receives up to 64 KiB of datagrams of equal size (UDP_SEGMENT and
/// UDP_GRO, see udp(7)). Otherwise as <see cref="DatagramRoles"/>.
/// </summary>
internal static class SegmentedRoles
{
    private const int Segments = 46;

    public static bool IsSupported => OperatingSystem.IsLinux() && Environment.Is64BitProcess;

    public static Task ReadAsync(PeerLink link, RoleArguments words) => Task.Run(() =>
    {
        using var socket = DatagramRoles.Bind();
        using var messages = new SegmentedMessages(socket, 65536);
        messages.Coalesce();
        var count = new DatagramRoles.Counter(link);
        link.TellPort(((IPEndPoint)socket.LocalEndPoint!).Port);
        while (!link.Stopped.IsCancellationRequested)
        {
            if (messages.TryReceive() is { Length: > 0 } received)
            {
                for (var start = 0; start < received.Length; start += DatagramRoles.Size)
                {
                    DatagramRoles.Check(received.Slice(start, Math.Min(DatagramRoles.Size, received.Length - start)));
                }

                count.Add(received.Length);
            }
        }

        count.TellDone();
    });

    public static Task WriteAsync(PeerLink link, RoleArguments words) => Task.Run(() =>
    {
        using var socket = DatagramRoles.Create();
        using var messages = new SegmentedMessages(socket, Segments * DatagramRoles.Size);
        messages.Aim(StreamProtocol.TargetOf(words), DatagramRoles.Size);
        var count = new DatagramRoles.Counter(link);
        link.Tell("started");
        for (var number = 0L; !link.Stopped.IsCancellationRequested;)
        {
            for (var index = 0; index < Segments; index++)
            {
                DatagramRoles.Number(messages.Bytes.Slice(index * DatagramRoles.Size, DatagramRoles.Size), number++);
            }

            count.Add(messages.Send());
        }

        count.TellDone();
    });
}
