using System.CommandLine.Parsing;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch.Cli;

/// <summary>Parsers of arguments and options. An error is one line: the value, and what is allowed.</summary>
internal static class Parsing
{
    public static int? Port(ArgumentResult result)
    {
        var word = result.Tokens[0].Value;
        if (PortOf(word) is { } port)
        {
            return port;
        }

        result.AddError($"'{word}' is not a port: a number from 1 to 65535");
        return null;
    }

    /// <summary>HOST, or HOST:PORT.</summary>
    public static string? Host(ArgumentResult result)
    {
        var word = result.Tokens[0].Value;
        var (name, _) = SplitHost(word);
        if (word.StartsWith('-'))
        {
            result.AddError(CommandLine.NoSuchOption(word, result));
        }
        else if (IPAddress.TryParse(name, out var address) ? IsAny(address) : Uri.CheckHostName(name) == UriHostNameType.Unknown)
        {
            result.AddError($"'{word}' is neither the name nor the address of a machine");
        }

        return word;
    }

    /// <summary>A host and its port, if the word has one.</summary>
    public static (string Host, int? Port) SplitHost(string word)
    {
        if (IPEndPoint.TryParse(word, out var one) && IsSpelledOut(word, one) && one.Port > 0)
        {
            return ($"{one.Address}", one.Port);
        }

        return word.Split(':') is [var host, var number] && PortOf(number) is { } port ? (host, port) : (word, null);
    }

    /// <summary>An address and a port.</summary>
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

    /// <summary>One to four addresses and ports.</summary>
    public static IPEndPoint[]? EndPoints(ArgumentResult result)
    {
        if (result.Tokens.Count > 4)
        {
            result.AddError("a rendezvous listens on four sockets at most");
            return null;
        }

        var found = result.Tokens.Select(token => EndPointOf(token.Value, result)).ToArray();
        return found.Contains(null) ? null : [.. found.OfType<IPEndPoint>()];
    }

    /// <summary>A name or an address, and an optional port.</summary>
    public static EndPoint? Server(ArgumentResult result, int defaultPort) => Server(result, result.Tokens[0].Value, defaultPort);

    /// <summary>The servers of an option that may be repeated.</summary>
    public static EndPoint[]? Servers(ArgumentResult result, int defaultPort, int most)
    {
        if (result.Tokens.Count > most)
        {
            result.AddError($"there are at most {most} servers");
            return null;
        }

        var servers = result.Tokens.Select(token => Server(result, token.Value, defaultPort)).OfType<EndPoint>().ToArray();
        return servers.Length == result.Tokens.Count ? servers : null;
    }

    private static EndPoint? Server(ArgumentResult result, string word, int defaultPort)
    {
        if (word.StartsWith('-'))
        {
            // An unknown option is taken for an argument.
            result.AddError(CommandLine.NoSuchOption(word, result));
            return null;
        }

        if (PortOf(word) is not null)
        {
            result.AddError($"'{word}' is only a port: write HOST:{word}");
            return null;
        }

        if (ServerOf(word, defaultPort) is { } server)
        {
            return server;
        }

        result.AddError($"'{word}' is not HOST:PORT, such as server.example:{defaultPort}, 192.0.2.1:{defaultPort} or [2001:db8::1]:{defaultPort}");
        return null;
    }

    public static int? Attempts(ArgumentResult result) =>
        Whole(result, 1, 10_000, "a number of attempts") is var count and > 0 ? count : null;

    public static int Mebibytes(ArgumentResult result) => Whole(result, 1, 1024, "a number of MiB");

    /// <summary>A whole number within limits; 0 after an error.</summary>
    public static int Whole(ArgumentResult result, int least, int most, string what)
    {
        var word = result.Tokens[0].Value;
        if (int.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count >= least && count <= most)
        {
            return count;
        }

        result.AddError($"'{word}' is not {what}: a whole number from {least} to {most}");
        return 0;
    }

    /// <summary>One of a few words; empty after an error.</summary>
    public static string OneOf(ArgumentResult result, string[] words, string what)
    {
        var word = result.Tokens[0].Value;
        if (words.Contains(word, StringComparer.Ordinal))
        {
            return word;
        }

        result.AddError($"'{word}' is not {what}: {string.Join(", ", words[..^1])} or {words[^1]}");
        return "";
    }

    public static UtpDialect Dialect(ArgumentResult result)
    {
        var word = result.Tokens[0].Value;
        switch (word)
        {
            case "bep29":
                return UtpDialect.Bep29;
            case "utp-punch":
                return UtpDialect.Npm;
            default:
                result.AddError($"'{word}' is not a dialect: bep29 or utp-punch");
                return default;
        }
    }

    public static UtpCongestionControl? CongestionControl(ArgumentResult result)
    {
        var word = result.Tokens[0].Value;
        if (UtpCongestionControl.TryGet(word, out var found))
        {
            return found;
        }

        result.AddError($"'{word}' is not a congestion control: {string.Join(", ", UtpCongestionControl.All)}");
        return null;
    }

    public static UtpPortMappingProtocol? MappingProtocol(ArgumentResult result)
    {
        var word = result.Tokens[0].Value;
        switch (word)
        {
            case "pcp":
                return UtpPortMappingProtocol.Pcp;
            case "nat-pmp":
                return UtpPortMappingProtocol.NatPmp;
            case "upnp":
                return UtpPortMappingProtocol.Upnp;
            default:
                result.AddError($"'{word}' is not a protocol: pcp, nat-pmp or upnp");
                return null;
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
                result.AddError($"'{word}' is not a mode: strict, semantic or inputs-only");
                return default;
        }
    }

    public static TimeSpan? Seconds(ArgumentResult result) => Decimal(result, 0.001, 86400, "a number of seconds") is var seconds and > 0
        ? TimeSpan.FromSeconds(seconds)
        : null;

    /// <summary>A decimal number within limits; 0 after an error.</summary>
    public static double Decimal(ArgumentResult result, double least, double most, string what)
    {
        var word = result.Tokens[0].Value;
        if (double.TryParse(word, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var value) && value >= least && value <= most)
        {
            return value;
        }

        result.AddError(string.Create(CultureInfo.InvariantCulture, $"'{word}' is not {what}: a number from {least} to {most}"));
        return 0;
    }

    private static EndPoint? ServerOf(string word, int defaultPort)
    {
        if (IPEndPoint.TryParse(word, out var one) && (IsSpelledOut(word, one) || word == $"{one.Address}" || word == $"[{one.Address}]"))
        {
            var port = IsSpelledOut(word, one) ? one.Port : defaultPort;
            return port > 0 && !IsAny(one.Address) ? new IPEndPoint(one.Address, port) : null;
        }

        return word.Split(':') is [var host, .. { Length: <= 1 } rest]
            && Uri.CheckHostName(host) == UriHostNameType.Dns
            && PortOf(rest is [var number] ? number : $"{defaultPort}") is { } found
            ? new DnsEndPoint(host, found)
            : null;
    }

    private static bool IsAny(IPAddress address) => address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any);

    private static int? PortOf(string word) =>
        ushort.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port > 0 ? port : null;

    // .NET's own parser also accepts "1" for 0.0.0.1, and an address without a port.
    private static bool IsSpelledOut(string word, IPEndPoint endPoint) =>
        endPoint.AddressFamily == AddressFamily.InterNetworkV6
            ? word.StartsWith('[') && !word.EndsWith(']')
            : word == endPoint.ToString();
}
