using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;
using static UtpPunch.Tests.LinuxParts;

namespace UtpPunch.Tests;

/// <summary>Processes that may not make all system calls: seccomp refuses with EPERM, an old or an emulated kernel with ENOSYS.</summary>
public static class Sandboxes
{
    private const int EPERM = 1;
    private const int ENOSYS = 38;
    private const string Only = TransportUnderTest.Linux;

    [Fact("where recvmmsg is refused, recvmsg receives the same datagrams, and recvmmsg is not tried again", Over = Only)]
    public static void RefusedReceiveMany()
    {
        foreach (var refusal in new[] { EPERM, ENOSYS })
        {
            var calls = new Sandbox { ReceiveManyError = refusal };
            using var receiver = Bind(calls);
            using var sender = Bind();
            var target = Addresses.ToEndpoint(receiver.LocalEndPoint);
            var train = Train(41, 1380);
            Check.That(sender.Send(target, train));
            CheckPackets(train, Collect(receiver, 41).Single().datagrams);
            Check.Equal(1, calls.ManyCalls, "calls of recvmmsg");

            // Empty and long ones, and more at once than there are slots.
            foreach (var length in new[] { 0, 65_507, 1 })
            {
                Check.That(sender.Send(target, Waiting.Bytes(length, length)) is null);
                Check.Equal(Waiting.Bytes(length, length), Collect(receiver, 1)[0].datagrams[0].Span);
            }

            for (var count = 0; count < 100; count++)
            {
                Check.That(sender.Send(target, new byte[100 + count]) is null);
            }

            Check.Equal(
                string.Join(' ', Enumerable.Range(100, 100)),
                string.Join(' ', Collect(receiver, 100).Select(one => one.datagrams.Length)));
            Check.Equal(1, calls.ManyCalls, "calls of recvmmsg");
            receiver.Await(0);
            Check.That(!receiver.Wait(0), "nothing is left that could end a wait");
        }
    }

    [Fact("where recvmsg is refused like recvmmsg, receiving fails instead of spinning, and recvmmsg is tried again", Over = Only)]
    public static void RefusedAltogether()
    {
        var calls = new Sandbox { ReceiveManyError = EPERM, ReceiveError = EPERM };
        using var receiver = Bind(calls);
        using var sender = Bind();
        Check.That(sender.Send(Addresses.ToEndpoint(receiver.LocalEndPoint), [7]) is null);
        receiver.Await(1_000_000);
        var error = Check.Throws<SocketException>(() => receiver.Receive([], []));
        Check.Equal(SocketError.AccessDenied, error.SocketErrorCode);
        (calls.ReceiveManyError, calls.ReceiveError) = (0, 0);
        Check.Equal(1, Collect(receiver, 1)[0].datagrams.Length);
        Check.That(calls.ManyCalls >= 2, "the refusal was not for good");
    }

    [Fact("a ppoll that is refused while the node runs fails instead of spinning", Over = Only)]
    public static void RefusedPoll()
    {
        var calls = new Sandbox();
        using var transport = Bind(calls);
        calls.PollError = ENOSYS;
        Check.Throws<SocketException>(() => transport.Await(0));
    }

    [Fact("where eventfd or ppoll is refused, the automatic choice is the managed transport, and choosing the other one throws the reason")]
    public static void RefusedWaits()
    {
        Skip.Unless(LinuxTransport.IsSupported, "needs Linux in 64 bits");
        var local = new IPEndPoint(IPAddress.Loopback, 0);
        foreach (var (calls, name) in new[]
        {
            (new Sandbox { PollError = ENOSYS }, "ppoll"), (new Sandbox { PollError = EPERM }, "ppoll"), (new Sandbox { HasNoEventFiles = true }, "eventfd"),
        })
        {
            var error = Check.Throws<PlatformNotSupportedException>(
                () => TransportChoice.Bind(new UtpNodeOptions { LocalEndPoint = local, SocketMode = UtpSocketMode.Linux }, calls));
            Check.That(error.Message.Contains(name, StringComparison.Ordinal), error.Message);
            using var transport = TransportChoice.Bind(new UtpNodeOptions { LocalEndPoint = local }, calls);
            Check.That(transport is ManagedTransport, "the automatic choice");
        }
    }

    [Fact("a process for which seccomp forbids recvmmsg can use streams", Over = Only)]
    public static async Task Seccomp()
    {
        Skip.Unless(LinuxTransport.IsSupported, "needs Linux in 64 bits");
        var (lines, _) = await new Sample("HelloWorld").RunWithoutAsync(SystemCall.ReceiveMany);
        Check.That(lines.Contains("client: received 'world'"), string.Join('\n', lines));
    }
}
