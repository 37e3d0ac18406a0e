using System.CommandLine.Parsing;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch.Cli;

/// <summary>What the words of a command line mean. Each says in one line why a word makes no sense.</summary>
internal static class Parsing
{
    public static int? Port(ArgumentResult result)
    {
        var word = result.Tokens[0].Value;
        if (PortOf(word) is { } port)
        {
            return port;
        }

        result.AddError($"'{word}' is not a port: that is a number from 1 to 65535");
        return null;
    }

    public static string? Host(ArgumentResult result)
    {
        var word = result.Tokens[0].Value;
        if (word.StartsWith('-'))
        {
            result.AddError($"there is no option '{word}'");
        }
        else if (IPAddress.TryParse(word, out var address)
            ? address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any)
            : Uri.CheckHostName(word) == UriHostNameType.Unknown)
        {
            result.AddError($"'{word}' is neither a name nor an address of a machine");
        }

        return word;
    }

    /// <summary>An address and a port, both of them spelled out.</summary>
    public static IPEndPoint? EndPoint(ArgumentResult result) => EndPointOf(result.Tokens[0].Value, result);

    private static IPEndPoint? EndPointOf(string word, ArgumentResult result)
    {
        if (IPEndPoint.TryParse(word, out var endPoint) && IsSpelledOut(word, endPoint))
        {
            return endPoint;
        }

        result.AddError($"'{word}' is not IP:PORT, such as 127.0.0.1:20000 or [::]:20000");
        return null;
    }

    /// <summary>Several of them.</summary>
    public static IPEndPoint[]? EndPoints(ArgumentResult result)
    {
        if (result.Tokens.Count > 4)
        {
            result.AddError("a rendezvous has four sockets at most");
            return null;
        }

        var found = result.Tokens.Select(token => EndPointOf(token.Value, result)).ToArray();
        return found.Contains(null) ? null : [.. found.OfType<IPEndPoint>()];
    }

    /// <summary>A name or an address, and a port, which may be left out.</summary>
    public static EndPoint? Server(ArgumentResult result, int defaultPort)
    {
        var word = result.Tokens[0].Value;
        if (IPEndPoint.TryParse(word, out var one) && (IsSpelledOut(word, one) || word == $"{one.Address}" || word == $"[{one.Address}]"))
        {
            var port = IsSpelledOut(word, one) ? one.Port : defaultPort;
            if (port > 0 && !one.Address.Equals(IPAddress.Any) && !one.Address.Equals(IPAddress.IPv6Any))
            {
                return new IPEndPoint(one.Address, port);
            }
        }
        else if (word.Split(':') is [var host, .. { Length: <= 1 } rest]
            && Uri.CheckHostName(host) == UriHostNameType.Dns
            && PortOf(rest is [var number] ? number : $"{defaultPort}") is { } port)
        {
            return new DnsEndPoint(host, port);
        }

        // Where words are arguments, an option that does not exist is taken for one.
        result.AddError(word.StartsWith('-')
            ? $"there is no option '{word}'"
            : $"'{word}' is not HOST:PORT, such as server.example:{defaultPort}, 192.0.2.1:{defaultPort} or [2001:db8::1]:{defaultPort}");
        return null;
    }

    public static EndPoint PeerAt(string host, int port) =>
        IPAddress.TryParse(host, out var address) ? new IPEndPoint(address, port) : new DnsEndPoint(host, port);

    public static int? Attempts(ArgumentResult result)
    {
        var word = result.Tokens[0].Value;
        if (int.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count is >= 1 and <= 10000)
        {
            return count;
        }

        result.AddError($"'{word}' is not a number of attempts, from 1 to 10000");
        return null;
    }

    public static UtpDialect Dialect(ArgumentResult result)
    {
        var word = result.Tokens[0].Value;
        switch (word)
        {
            case "bep29":
                return UtpDialect.Bep29;
            case "utp-punch":
                return UtpDialect.UtpPunch;
            default:
                result.AddError($"there is no dialect '{word}': it is bep29 or utp-punch");
                return default;
        }
    }

    public static ReplayMode ReplayMode(ArgumentResult result)
    {
        var word = result.Tokens[0].Value;
        switch (word)
        {
            case "strict":
                return Tracing.ReplayMode.Strict;
            case "semantic":
                return Tracing.ReplayMode.Semantic;
            case "inputs-only":
                return Tracing.ReplayMode.InputsOnly;
            default:
                result.AddError($"there is no mode '{word}': it is strict, semantic or inputs-only");
                return default;
        }
    }

    public static TimeSpan? Seconds(ArgumentResult result)
    {
        var word = result.Tokens[0].Value;
        if (double.TryParse(word, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var seconds)
            && seconds is >= 0.001 and <= 86400)
        {
            return TimeSpan.FromSeconds(seconds);
        }

        result.AddError($"'{word}' is not a number of seconds, from 0.001 to 86400");
        return null;
    }

    public static int Mebibytes(ArgumentResult result)
    {
        var word = result.Tokens[0].Value;
        if (int.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count is >= 1 and <= 1024)
        {
            return count;
        }

        result.AddError($"'{word}' is not a number of mebibytes, from 1 to 1024");
        return 0;
    }

    private static int? PortOf(string word) =>
        ushort.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port > 0 ? port : null;

    // The parser of .NET also takes "1" for 0.0.0.1, and an address without a port.
    private static bool IsSpelledOut(string word, IPEndPoint endPoint) =>
        endPoint.AddressFamily == AddressFamily.InterNetworkV6
            ? word.StartsWith('[') && !word.EndsWith(']')
            : word == endPoint.ToString();
}
