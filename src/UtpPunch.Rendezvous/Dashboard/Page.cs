using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace UtpPunch.Rendezvous.Dashboard;

/// <summary>The page and its JSON over HTTP. The page is one document with its script and its style; its policy allows these two, by their hashes, and requests
/// to its own address.</summary>
internal static class Page
{
    private static readonly string s_script = Read("dashboard.js");
    private static readonly string s_style = Read("dashboard.css");

    private static readonly byte[] s_document = Encoding.UTF8.GetBytes(Read("dashboard.html")
        .Replace("/*style*/", s_style, StringComparison.Ordinal)
        .Replace("/*script*/", s_script, StringComparison.Ordinal));

    private static readonly string s_policy =
        $"default-src 'none'; script-src '{HashOf(s_script)}'; style-src '{HashOf(s_style)}'; connect-src 'self'; img-src data:;"
        + " base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    /// <summary>Adds <c>/</c> and <c>/dashboard</c>, which are the page, and <c>/dashboard.json</c>.</summary>
    public static void Map(WebApplication app, Recorder recorder)
    {
        foreach (var path in new[] { "/", "/dashboard" })
        {
            app.MapGet(path, (HttpResponse response) => Answer(response, s_document, "text/html; charset=utf-8"));
        }

        app.MapGet("/dashboard.json", (HttpResponse response) => Answer(response, recorder.GetJson(), "application/json; charset=utf-8"));
    }

    private static IResult Answer(HttpResponse response, byte[] content, string type)
    {
        response.Headers.ContentSecurityPolicy = s_policy;
        response.Headers.XContentTypeOptions = "nosniff";
        response.Headers.CacheControl = "no-store";
        response.Headers["Referrer-Policy"] = "no-referrer";
        response.Headers["Cross-Origin-Resource-Policy"] = "same-origin";
        return Results.Bytes(content, type);
    }

    private static string HashOf(string text) => $"sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(text)))}";

    private static string Read(string name)
    {
        using var stream = typeof(Page).Assembly.GetManifestResourceStream($"Dashboard/{name}")
            ?? throw new InvalidOperationException($"The resource Dashboard/{name} is missing.");
        using var reader = new StreamReader(stream, Encoding.UTF8);
        return reader.ReadToEnd();
    }
}
