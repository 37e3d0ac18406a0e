using System.Text;
using System.Text.Json;

namespace UtpPunch.Cli.Traces;

/// <summary>
/// The data of the page as JSON: arrays, whose fields data.js names in the same order. The writer escapes what a script element must not
/// contain.
/// </summary>
internal static class TraceData
{
    // A browser draws what is visible, but must hold all of it.
    private const int EventLimit = 400_000;
    private const int TextLimit = 400;

    public static string Of(TraceModel model)
    {
        using var memory = new MemoryStream();
        using (var json = new Utf8JsonWriter(memory))
        {
            json.WriteStartObject();
            json.WriteString("file", model.File);
            json.WriteString("title", model.Title);
            json.WriteNumber("lines", model.Lines);
            json.WriteNumber("cut", Math.Max(0, model.Events.Count - EventLimit));
            WriteLanes(json, model);
            WriteArray(json, "packets", model.Packets, WritePacket);
            WriteArray(json, "samples", model.Samples, WriteSample);
            WriteArray(json, "events", model.Events.Take(EventLimit), WriteEvent);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(memory.GetBuffer(), 0, (int)memory.Length);
    }

    private static void WriteLanes(Utf8JsonWriter json, TraceModel model)
    {
        json.WriteStartArray("lanes");
        var count = model.Nodes.Count + (model.OutsideAddresses.Count > 0 || model.Nodes.Count == 1 ? 1 : 0);
        for (var lane = 0; lane < count; lane++)
        {
            json.WriteStartArray();
            json.WriteStringValue(model.NameOf(lane));
            json.WriteStringValue(lane == model.Outside && model.OutsideAddresses.Count == 0 ? "" : model.AddressOf(lane));
            json.WriteNumberValue(lane == model.Outside ? 0 : 1);
            json.WriteEndArray();
        }

        json.WriteEndArray();
    }

    private static void WriteArray<T>(Utf8JsonWriter json, string name, IEnumerable<T> items, Action<Utf8JsonWriter, T> write)
    {
        json.WriteStartArray(name);
        foreach (var item in items)
        {
            json.WriteStartArray();
            write(json, item);
            json.WriteEndArray();
        }

        json.WriteEndArray();
    }

    private static void WritePacket(Utf8JsonWriter json, Transmission packet)
    {
        var datagram = packet.Packet;
        var header = datagram.Header;
        json.WriteNumberValue(packet.Number);
        json.WriteNumberValue(packet.From);
        json.WriteNumberValue(packet.To);
        WriteTime(json, packet.SentAt);
        json.WriteStringValue(packet.Type);
        json.WriteNumberValue(header.ConnectionId);
        json.WriteNumberValue(datagram.IsRaw ? 0 : header.SeqNr.Value);
        json.WriteNumberValue(datagram.IsRaw ? 0 : header.AckNr.Value);
        json.WriteNumberValue(header.Window);
        json.WriteNumberValue(datagram.Length);
        json.WriteStringValue(Convert.ToHexStringLower(datagram.Sack.Span));
        json.WriteNumberValue((packet.IsAgain ? 1 : 0) | (packet.IsCorrupt ? 2 : 0) | (datagram.HasRanges ? 4 : 0));
        json.WriteStringValue(packet.Lost);
        WriteTime(json, packet.Queue);
        json.WriteNumberValue(packet.Conversation);
        json.WriteNumberValue(header.Timestamp);
        json.WriteNumberValue(header.TimestampDifference);
        json.WriteNumberValue(packet.Line);
        json.WriteStartArray();
        foreach (var arrival in packet.Deliveries)
        {
            json.WriteNumberValue(arrival.At);
        }

        json.WriteEndArray();

        // Copies that had not arrived when the trace ended.
        json.WriteStartArray();
        foreach (var time in packet.Promised.Skip(packet.Deliveries.Count))
        {
            json.WriteNumberValue(time);
        }

        json.WriteEndArray();
        json.WriteStringValue(datagram.MayFragment ? $"{TraceBits.Words(datagram)} may fragment".TrimStart() : TraceBits.Words(datagram));
    }

    private static void WriteSample(Utf8JsonWriter json, Measurement sample)
    {
        var values = sample.Values;
        json.WriteNumberValue(sample.At);
        json.WriteNumberValue(sample.Lane);
        json.WriteNumberValue(sample.Conversation);
        json.WriteNumberValue(values.CongestionWindow);
        json.WriteNumberValue(values.InFlight);
        json.WriteNumberValue(values.PeerWindow);
        json.WriteNumberValue(values.QueueingDelay);
        json.WriteNumberValue(values.TargetDelay);
        json.WriteNumberValue(values.RoundTrip);
        json.WriteNumberValue(values.RetransmitTimeout);
    }

    private static void WriteEvent(Utf8JsonWriter json, TraceEvent happened)
    {
        json.WriteNumberValue(happened.At);
        json.WriteNumberValue(happened.Lane);
        json.WriteStringValue(happened.Direction);
        json.WriteStringValue(happened.Kind);
        var isLong = happened.Text.Length > TextLimit && !happened.IsViolation;
        json.WriteStringValue(isLong ? $"{happened.Text[..TextLimit]}…" : happened.Text);
        json.WriteNumberValue(happened.Packet);
        json.WriteNumberValue(happened.Arrival);
    }

    private static void WriteTime(Utf8JsonWriter json, long? value)
    {
        if (value is { } time)
        {
            json.WriteNumberValue(time);
        }
        else
        {
            json.WriteNullValue();
        }
    }
}
