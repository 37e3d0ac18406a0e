using System.Globalization;
using System.Net;
using System.Text.Json;

namespace UtpPunch.Cli;

/// <summary>Writes the progress of a punch and its result, as text or as lines of JSON of which the last is the result.</summary>
internal sealed class PunchReport(bool isJson) : IProgress<UtpPunchProgress>
{
    private bool _isRegistered;
    private bool _isOver;

    public void Report(UtpPunchProgress value)
    {
        if (!_isRegistered)
        {
            _isRegistered = true;
            Registered(value);
        }

        if (value.PeerEndPoint is { } peer)
        {
            Introduced(peer);
        }
    }

    /// <summary>A path was found; no stream has been opened over it yet.</summary>
    public void Opened(UtpPunchResult path)
    {
        if (!isJson)
        {
            Console.WriteLine(TerminalText.Escape(path.Explanation));
        }
    }

    /// <summary>The punch succeeded. <paramref name="greeting"/> is how long the greeting took; null without one.</summary>
    public void Succeeded(UtpPunchResult path, TimeSpan? greeting)
    {
        _isOver = true;
        if (isJson)
        {
            JsonLine.Write("punched", json =>
            {
                json.WriteBoolean("success", true);
                Write(json, path);
                Write(json, "streamMs", greeting);
            });
        }
        else if (greeting is { } time)
        {
            var took = time.TotalMilliseconds.ToString("F0", CultureInfo.InvariantCulture);
            Console.WriteLine($"A stream works: greetings went both ways in {took} ms.");
        }
    }

    /// <summary>The punch failed. <paramref name="path"/> is null if it ended before a result.</summary>
    public void Failed(UtpPunchResult? path, string stage, string explanation)
    {
        if (isJson && !_isOver)
        {
            JsonLine.Write("punched", json =>
            {
                json.WriteBoolean("success", false);
                json.WriteString("stage", stage);
                json.WriteString("explanation", explanation);
                if (path is not null)
                {
                    Write(json, path);
                }
            });
        }

        _isOver = true;
    }

    private void Registered(UtpPunchProgress progress)
    {
        if (isJson)
        {
            JsonLine.Write("registered", json =>
            {
                Write(json, "observed", progress.ObservedEndPoint);
                json.WriteString("mapping", $"{progress.PortAssignment}");
            });
        }
        else
        {
            Console.WriteLine($"Registered{(progress.ObservedEndPoint is { } observed ? $" as {observed}" : "")}; waiting for a peer.");
        }
    }

    private void Introduced(IPEndPoint peer)
    {
        if (isJson)
        {
            JsonLine.Write("introduced", json => Write(json, "peer", peer));
        }
        else
        {
            Console.WriteLine($"Introduced to {peer}; punching.");
        }
    }

    private static void Write(Utf8JsonWriter json, UtpPunchResult path)
    {
        Write(json, "remote", path.Path?.RemoteEndPoint);
        if (path.Success)
        {
            json.WriteString("path", $"{path.Path.Kind}");
        }

        Write(json, "rttMs", path.Path?.RoundTripTime);
        Write(json, "elapsedMs", path.Elapsed);
        Write(json, "observed", path.ObservedEndPoint);
        Write(json, "seenAs", path.EndPointSeenByPeer);
        Write(json, "peerObserved", path.PeerObservedEndPoint);
        json.WriteString("mapping", $"{path.PortAssignment}");
        json.WriteString("peerMapping", $"{path.PeerPortAssignment}");
        json.WriteNumber("probesSent", path.ProbesSent);
        json.WriteNumber("probesHeard", path.ProbesHeard);
    }

    /// <summary>An unknown value is left out.</summary>
    private static void Write(Utf8JsonWriter json, string name, IPEndPoint? endPoint)
    {
        if (endPoint is not null)
        {
            json.WriteString(name, $"{endPoint}");
        }
    }

    private static void Write(Utf8JsonWriter json, string name, TimeSpan? time)
    {
        if (time is { } known)
        {
            json.WriteNumber(name, Math.Round(known.TotalMilliseconds, 3));
        }
    }
}
