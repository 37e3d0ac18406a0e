using System.Net;
using System.Reflection;
using System.Text;

namespace UtpPunch.Cli.Traces;

/// <summary>
/// A trace as one web page: the template of the folder Page with its style, its scripts and the data. The page loads nothing else, and
/// shows whatever comes from the file as text.
/// </summary>
internal static class TracePage
{
    private static readonly string[] Scripts = ["data.js", "ladder.js", "arrows.js", "plots.js", "axes.js", "table.js", "page.js"];

    public static void Write(TraceModel model, Stream target)
    {
        var title = WebUtility.HtmlEncode(model.File);
        using var output = new StreamWriter(target, new UTF8Encoding(false), leaveOpen: true);
        foreach (var (place, tail) in Parts(Resource("page.html")))
        {
            switch (place)
            {
                case "title":
                    output.Write(title);
                    break;
                case "style":
                    output.Write(Resource("page.css"));
                    break;
                case "script":
                    output.Write(string.Concat(Scripts.Select(Resource)));
                    break;
                case "data":
                    output.Write(TraceData.Of(model));
                    break;
            }

            output.Write(tail);
        }
    }

    // "…{{title}}…{{style}}…": each place, and the text behind it.
    private static IEnumerable<(string Place, string Tail)> Parts(string template)
    {
        foreach (var part in template.Split("{{"))
        {
            var end = part.IndexOf("}}", StringComparison.Ordinal);
            yield return end < 0 ? ("", part) : (part[..end], part[(end + 2)..]);
        }
    }

    private static string Resource(string name)
    {
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream($"Page/{name}")!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
