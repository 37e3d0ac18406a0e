using System.CommandLine.Parsing;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch.Cli;

/// <summary>What the words of a command line mean. Each says in one line why a word makes no sense.</summary>
internal static class Words
{
    public static int? Port(ArgumentResult result)
    {
        var word = result.Tokens[0].Value;
        if (ushort.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port > 0)
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
    public static IPEndPoint? EndPoint(ArgumentResult result)
    {
        var word = result.Tokens[0].Value;
        if (IPEndPoint.TryParse(word, out var endPoint) && IsSpelledOut(word, endPoint))
        {
            return endPoint;
        }

        result.AddError($"'{word}' is not IP:PORT, such as 127.0.0.1:20000 or [::]:20000");
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
                return Protocol.ReplayMode.Strict;
            case "semantic":
                return Protocol.ReplayMode.Semantic;
            case "inputs-only":
                return Protocol.ReplayMode.InputsOnly;
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

    // The parser of .NET also takes "1" for 0.0.0.1, and an address without a port.
    private static bool IsSpelledOut(string word, IPEndPoint endPoint) =>
        endPoint.AddressFamily == AddressFamily.InterNetworkV6
            ? word.StartsWith('[') && !word.EndsWith(']')
            : word == endPoint.ToString();
}
