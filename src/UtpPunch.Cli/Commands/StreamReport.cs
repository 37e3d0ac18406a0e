using System.Globalization;

namespace UtpPunch.Cli;

/// <summary>The statistics of a stream at its end, on standard error: standard output has its data.</summary>
internal static class StreamReport
{
    public static void Write(UtpStream stream, TimeSpan elapsed, bool isJson)
    {
        var seen = stream.GetStatistics();
        if (isJson)
        {
            WriteJson(stream, seen, elapsed);
            return;
        }

        Say($"sent {seen.BytesAcknowledged} bytes, {Rate(seen.BytesAcknowledged, elapsed)} MB/s: {seen.PacketsSent} packets, "
            + $"{seen.Retransmissions} retransmissions, {seen.BytesLost} bytes lost, {seen.Timeouts} timeouts");
        Say($"received {seen.BytesReceived} bytes, {Rate(seen.BytesReceived, elapsed)} MB/s: {seen.PacketsReceived} packets, {seen.Duplicates} duplicates");
        Say($"round trip {Milliseconds(seen.RoundTripTime)} ms, queueing delay {Milliseconds(seen.QueueingDelay)} ms, "
            + $"packets of {seen.MaxPayload} bytes; {elapsed.TotalSeconds:F2} s with {stream.RemoteEndPoint}");
    }

    private static void WriteJson(UtpStream stream, UtpStreamStatistics seen, TimeSpan elapsed) => JsonLine.WriteTo(Console.Error, "ended", json =>
    {
        json.WriteString("remote", $"{stream.RemoteEndPoint}");
        json.WriteNumber("seconds", Math.Round(elapsed.TotalSeconds, 3));
        json.WriteNumber("bytesSent", seen.BytesAcknowledged);
        json.WriteNumber("bytesReceived", seen.BytesReceived);
        json.WriteNumber("packetsSent", seen.PacketsSent);
        json.WriteNumber("packetsReceived", seen.PacketsReceived);
        json.WriteNumber("retransmissions", seen.Retransmissions);
        json.WriteNumber("bytesLost", seen.BytesLost);
        json.WriteNumber("timeouts", seen.Timeouts);
        json.WriteNumber("duplicates", seen.Duplicates);
        json.WriteNumber("rttMs", Math.Round(seen.RoundTripTime.TotalMilliseconds, 3));
        json.WriteNumber("queueingDelayMs", Math.Round(seen.QueueingDelay.TotalMilliseconds, 3));
        json.WriteNumber("maxPayload", seen.MaxPayload);
    });

    private static void Say(string line) => Console.Error.WriteLine(TerminalText.Escape(line));

    private static string Rate(long bytes, TimeSpan elapsed) =>
        (bytes / 1e6 / Math.Max(elapsed.TotalSeconds, 0.001)).ToString("F2", CultureInfo.InvariantCulture);

    private static string Milliseconds(TimeSpan time) => Math.Max(0, time.TotalMilliseconds).ToString("F1", CultureInfo.InvariantCulture);
}
