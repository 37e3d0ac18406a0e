using System.Globalization;
using System.Text;

namespace UtpPunch.Cli;

/// <summary>
/// Makes text safe to show on a terminal. Names, reasons and lines may come from a peer, a server or a file. Their control characters (C0,
/// DEL, C1) could move the cursor, set the title or type into the shell; their bidirectional controls could reorder what is read.
/// </summary>
internal static class TerminalText
{
    /// <summary>The text with an escape such as \u001b in place of each unsafe character. Inside JSON such an escape is the character.</summary>
    public static string Escape(string text) => Escape(text, keepsLines: false);

    /// <summary>The same for text of several lines: line feeds stay.</summary>
    public static string EscapeLines(string text) => Escape(text, keepsLines: true);

    private static string Escape(string text, bool keepsLines)
    {
        if (!text.Any(IsUnsafe))
        {
            return text;
        }

        var escaped = new StringBuilder(text.Length + 16);
        foreach (var character in text)
        {
            if (IsUnsafe(character) && !(keepsLines && character == '\n'))
            {
                escaped.Append(CultureInfo.InvariantCulture, $"\\u{(int)character:x4}");
            }
            else
            {
                escaped.Append(character);
            }
        }

        return escaped.ToString();
    }

    // The Unicode property Bidi_Control, and the separators that some terminals treat as line breaks.
    private static bool IsUnsafe(char character) => char.IsControl(character) || character
        is '\u061C' or '\u200E' or '\u200F' or (>= '\u2028' and <= '\u202E') or (>= '\u2066' and <= '\u2069');
}
