using System.Net;
using System.Net.Sockets;
using System.Text;
using UtpPunch.NatLab.Network;

namespace UtpPunch.NatLab;

/// <summary>
/// Measures what each NAT does with plain sockets and compares it with the table: the ports that S1:a, S1:b and S2:a see of one socket,
/// which of the three can send to a socket that has contacted only S1:a, and whether an unsolicited packet from S2 changes that socket's port
/// towards S2.
/// </summary>
internal sealed class Verify : IDisposable
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(5);

    private readonly World _world = new();
    private readonly Socket[] _servers;

    public Verify() =>
        _servers = [.. new[] { World.First, World.FirstOther, World.Second }.Select(_world.Servers.Bind)];

    /// <summary>Measures all NATs; the number of unexpected results.</summary>
    public int Run(CancellationToken cancellationToken)
    {
        Console.WriteLine("  type                      ports at S1:a S1:b S2:a   in from S1:a S1:b S2:a   same port to one who knocked");
        var wrong = 0;
        for (var type = 0; type < NatType.All.Count; type++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var expected = NatType.All[type];
            var measured = Measure(type);
            var isRight = measured.Is(expected);
            wrong += isRight ? 0 : 1;
            var remark = isRight ? "" : $"   WRONG: not {expected.Mapping}, '{expected.Heard}', {expected.IsPinned}";
            Console.WriteLine($"{type} {expected.Name,-25} {measured}{remark}");
        }

        Console.WriteLine(wrong == 0 ? "all NATs do as they should" : $"{wrong} NATs do something else");
        return wrong;
    }

    public void Dispose()
    {
        foreach (var server in _servers)
        {
            server.Dispose();
        }

        _world.Dispose();
    }

    private Measured Measure(int type)
    {
        using var lab = new Lab(_world, type, type);
        using var first = lab.A.Bind();
        var ports = _servers.Select(server => See(first, server).Port).ToArray();
        using var second = lab.A.Bind();
        var seen = See(second, _servers[0]);

        // S1:a, which every filter admits, sends last. The path keeps order, so what has not arrived by then was filtered.
        foreach (var server in _servers.Reverse())
        {
            server.SendTo(Encoding.UTF8.GetBytes($"{server.LocalEndPoint}"), seen);
        }

        var heard = new HashSet<string>();
        while (!heard.Contains($"{World.First}"))
        {
            heard.Add(Receive(second).Words);
        }

        var letters = _servers.Select(server => heard.Contains($"{server.LocalEndPoint}") ? 'T' : 'F');
        return new Measured(ports, string.Join(' ', letters), See(second, _servers[2]).Equals(seen));
    }

    private static IPEndPoint See(Socket host, Socket server)
    {
        host.SendTo("hello"u8, server.LocalEndPoint!);
        return Receive(server).From;
    }

    private static (string Words, IPEndPoint From) Receive(Socket socket)
    {
        var buffer = new byte[2048];
        EndPoint from = new IPEndPoint(IPAddress.Any, 0);
        socket.ReceiveTimeout = (int)s_timeout.TotalMilliseconds;
        var length = socket.ReceiveFrom(buffer, ref from);
        return (Encoding.UTF8.GetString(buffer, 0, length), (IPEndPoint)from);
    }

    private sealed record Measured(int[] Ports, string Heard, bool IsPinned)
    {
        public bool Is(NatType expected) =>
            Mapping == expected.Mapping && Heard == expected.Heard && IsPinned == expected.IsPinned;

        public override string ToString() => $"{string.Join(' ', Ports),-25} {Heard,-24} {IsPinned}";

        private Mapping Mapping => Ports switch
        {
            [var a, var b, var c] when a == b && b == c => Mapping.Independent,
            [var a, var b, _] when a == b => Mapping.ByAddress,
            [var a, var b, var c] when b == a + 1 && c == b + 1 => Mapping.Sequential,
            _ => Mapping.Random,
        };
    }
}
