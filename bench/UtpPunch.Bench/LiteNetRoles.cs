using System.Net;
using LiteNetLib;
using UtpPunch.Cli.Bench;

namespace UtpPunch.Bench;

/// <summary>
/// LiteNetLib's reliable ordered channel as a stream of messages, each as large as one packet, to avoid fragments. Events come on its own
/// threads, its update interval is the shortest possible, and the queue of messages to send is bounded.
/// </summary>
internal static class LiteNetRoles
{
    private const string Key = "utp-bench";
    private const int DisconnectTimeout = 30_000;

    // It keeps 64 packets in flight; the queue must hold more than these.
    private const int MostWaiting = 256;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    public static async Task ReadAsync(PeerLink link, RoleArguments words)
    {
        var counts = new long[1];
        var ended = new TaskCompletionSource();
        var listener = new EventBasedNetListener();
        listener.ConnectionRequestEvent += request => request.AcceptIfKey(Key);
        listener.PeerDisconnectedEvent += (_, _) => ended.TrySetResult();
        listener.NetworkReceiveEvent += (_, reader, _, _) =>
        {
            var message = reader.GetRemainingBytesSpan();
            try
            {
                Pattern.Check(counts[0], message);
            }
            catch (InvalidDataException error)
            {
                ended.TrySetException(error);
            }

            Volatile.Write(ref counts[0], counts[0] + message.Length);
            reader.Recycle();
        };
        var manager = Start(listener);
        link.Count(() => [Volatile.Read(ref counts[0])]);
        link.Start();
        link.TellPort(manager.LocalPort);
        await ended.Task;
        BulkRoles.TellDone(link, counts);
        manager.Stop();
    }

    public static async Task WriteAsync(PeerLink link, RoleArguments words)
    {
        var connected = new TaskCompletionSource<NetPeer>();
        var listener = new EventBasedNetListener();
        listener.PeerConnectedEvent += peer => connected.TrySetResult(peer);
        var manager = Start(listener);
        var counts = new long[1];
        link.Count(() => [Volatile.Read(ref counts[0])]);
        link.Start();
        manager.Connect(new IPEndPoint(IPAddress.Loopback, words.Number("port")), Key);
        var peer = await connected.Task.WaitAsync(s_patience);
        link.Tell("started");
        await Task.Run(() => Write(link, manager, peer, counts));

        // A disconnect would overtake queued messages.
        while (peer.GetPacketsCountInReliableQueue(ordered: true) > 0)
        {
            await Task.Delay(1);
        }

        BulkRoles.TellDone(link, counts);
        manager.Stop(sendDisconnectMessages: true);
    }

    private static void Write(PeerLink link, NetManager manager, NetPeer peer, long[] counts)
    {
        var block = Pattern.Block.Span;
        var offset = 0L;
        while (!link.Stopped.IsCancellationRequested)
        {
            if (peer.GetPacketsCountInReliableQueue(ordered: true) >= MostWaiting)
            {
                manager.TriggerUpdate();
                Thread.Yield();
                continue;
            }

            var start = (int)(offset % Pattern.BlockSize);
            var size = Math.Min(peer.GetMaxSinglePacketSize(DeliveryMethod.ReliableOrdered), Pattern.BlockSize - start);
            peer.Send(block.Slice(start, size), DeliveryMethod.ReliableOrdered);
            offset += size;
            Volatile.Write(ref counts[0], offset);
        }
    }

    private static NetManager Start(EventBasedNetListener listener)
    {
        var manager = new NetManager(listener)
        {
            UnsyncedEvents = true,
            UnsyncedReceiveEvent = true,
            UpdateTime = 1,
            DisconnectTimeout = DisconnectTimeout,
            MtuDiscovery = true,
            IPv6Enabled = false,
            UseNativeSockets = OperatingSystem.IsLinux(),
        };
        return manager.Start(IPAddress.Loopback, IPAddress.IPv6Loopback, 0)
            ? manager
            : throw new InvalidOperationException("LiteNetLib could not be bound");
    }
}
