using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace UtpPunch.Cli;

/// <summary>One event as a line of JSON, for scripts.</summary>
internal static class JsonLine
{
    private static readonly JsonWriterOptions s_options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes to standard output.</summary>
    public static void Write(string happened, Action<Utf8JsonWriter>? more = null) => WriteTo(Console.Out, happened, more);

    public static void WriteTo(TextWriter output, string happened, Action<Utf8JsonWriter>? more = null)
    {
        using var memory = new MemoryStream();
        using (var json = new Utf8JsonWriter(memory, s_options))
        {
            json.WriteStartObject();
            json.WriteString("event", happened);
            more?.Invoke(json);
            json.WriteEndObject();
        }

        // The encoder leaves bidirectional controls as they are.
        output.Write($"{TerminalText.Escape(Encoding.UTF8.GetString(memory.ToArray()))}\n");
    }
}
