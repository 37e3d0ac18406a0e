/// The target `site`: builds the documentation with docfx, then checks it as a reader meets it: no dead link, no script that fails.
module Site

open System
open System.Collections.Generic
open System.IO
open System.Net
open System.Net.Sockets
open System.Text.RegularExpressions
open System.Threading.Tasks
open Processes

let usage =
    """
dotnet fsi build.fsx site [--no-check]

Builds the documentation into artifacts/site/, with the references of the library, the core and the simulator, and checks it: every link leads to a page and to a heading that exist, and with
Chromium on the PATH every page, and every eighth of the core's reference, is opened in it and no script fails. docfx, 500 MB, is restored for it; the tests check the links of the sources without it.

  --no-check   only build

Exit code: 0 if nothing was found.
"""

let private site = "artifacts/site"

let private build () =
    for project in [ "src/UtpPunch.AspNetCore"; "src/UtpPunch.Sim" ] do
        build project

    Reference.prepare ()

    if Directory.Exists site then Directory.Delete(site, recursive = true)
    Directory.CreateDirectory "artifacts" |> ignore

    // docfx is not among the tools of .config: only this target needs it.
    for arguments in [ [ "tool"; "restore" ]; [ "docfx"; "../docfx.json"; "--warningsAsErrors" ] ] do
        if exitCodeOf "docs" "dotnet" arguments <> 0 then failed "The site was not built."

    File.Copy($"{site}/README.html", $"{site}/index.html", overwrite = true)

// Links

let private pages () =
    Directory.GetFiles(site, "*.html", SearchOption.AllDirectories)
    |> Array.map (fun path -> Path.GetRelativePath(site, path).Replace('\\', '/'))
    // docfx loads it into every page.
    |> Array.filter (fun page -> Path.GetFileName page <> "toc.html")
    |> Array.sort

let private matches (pattern: string) (text: string) =
    [ for found in Regex.Matches(text, pattern) -> WebUtility.HtmlDecode found.Groups[1].Value ]

let private anchors = "\\b(?:id|name)=\"([^\"]+)\""
let private links = "\\b(?:href|src)=\"([^\"]*)\""

/// The links of all pages that lead nowhere.
let private deadLinks () =
    let texts = Dictionary<string, string>()

    let read page =
        match texts.TryGetValue page with
        | true, text -> text
        | _ ->
            let text = File.ReadAllText(Path.Combine(site, page))
            texts[page] <- text
            text

    let isAnchor page (anchor: string) =
        anchor = "" || matches anchors (read page) |> List.contains (Uri.UnescapeDataString anchor)

    [ for page in pages () do
          for link in matches links (read page) do
              if link <> "" && not (Regex.IsMatch(link, "^([a-z]+:|//)")) then
                  let address, anchor =
                      match link.Split('#', 2) with
                      | [| address; anchor |] -> address, anchor
                      | _ -> link, ""

                  let folder = Path.GetDirectoryName page
                  let path = Path.Combine(site, folder, Uri.UnescapeDataString(address.Split('?')[0]))

                  let target =
                      if address = "" then
                          page
                      else
                          Path.GetRelativePath(site, Path.GetFullPath path).Replace('\\', '/')

                  let isThere = File.Exists path || address = ""
                  let isPage = target.EndsWith ".html"

                  if not isThere || (isPage && not (isAnchor target anchor)) then $"{page}: {link}" ]
    |> List.distinct

// Scripts

/// Serves the site on loopback: scripts that are modules are not loaded from files.
let private serve () =
    let port =
        use probe = new TcpListener(IPAddress.Loopback, 0)
        probe.Start()
        (probe.LocalEndpoint :?> IPEndPoint).Port

    let listener = new HttpListener()
    listener.Prefixes.Add $"http://127.0.0.1:{port}/"
    listener.Start()

    let types =
        dict
            [ ".html", "text/html"
              ".js", "text/javascript"
              ".css", "text/css"
              ".json", "application/json"
              ".svg", "image/svg+xml"
              ".png", "image/png" ]

    let answer (context: HttpListenerContext) =
        let path = Path.Combine(site, Uri.UnescapeDataString(context.Request.Url.AbsolutePath).TrimStart('/'))

        if File.Exists path then
            match types.TryGetValue(Path.GetExtension path) with
            | true, kind -> context.Response.ContentType <- kind
            | _ -> ()

            context.Response.OutputStream.Write(ReadOnlySpan(File.ReadAllBytes path))
        else
            context.Response.StatusCode <- 404

        context.Response.Close()

    let serving =
        task {
            try
                while listener.IsListening do
                    let! context = listener.GetContextAsync()

                    Task.Run(fun () ->
                        try
                            answer context
                        with :? HttpListenerException ->
                            ())
                    |> ignore
            with
            | :? HttpListenerException
            | :? ObjectDisposedException -> ()
        }

    port, listener, serving

/// A page that opens the others, one after the other, in a frame.
let private opener (pages: string[]) =
    let list = pages |> Array.map (fun page -> $"\"{page}\"") |> String.concat ","

    $"""<!doctype html><body><iframe id="f" width="1200" height="800"></iframe><script>
const pages = [{list}], frame = document.getElementById("f");
let errors = 0;
async function run() {{
  for (const page of pages) {{
    await new Promise(done => {{ frame.onload = done; frame.src = page; }});
    frame.contentWindow.addEventListener("error", event => {{ errors++; console.error(page + ": " + event.message); }});
    await new Promise(done => setTimeout(done, 300));
    if (!frame.contentDocument.querySelector("h1")) {{ errors++; console.error(page + ": it has no heading"); }}
  }}
  document.body.dataset.opened = pages.length;
  document.body.dataset.errors = errors;
}}
run();
</script></body>"""

let private browser () =
    [ for folder in (Environment.GetEnvironmentVariable "PATH").Split Path.PathSeparator do
          for name in [ "chromium"; "chromium-browser"; "google-chrome" ] do
              Path.Combine(folder, name) ]
    |> List.tryFind File.Exists

/// The reference of the core and the simulator has hundreds of pages of one template, and the browser needs most of a second for each.
let private openedPages () =
    let ofCore, others = pages () |> Array.partition _.StartsWith("core/")
    Array.append others (ofCore |> Array.indexed |> Array.filter (fun (index, _) -> index % 8 = 0) |> Array.map snd)

/// Opens pages in the browser; what its console says.
let private scriptErrors browser =
    let pages = openedPages ()
    let name = "open-all.html"
    let port, listener, serving = serve ()
    let profile = Directory.CreateTempSubdirectory("utp-site-").FullName

    try
        File.WriteAllText(Path.Combine(site, name), opener pages)

        let finished =
            follow
                (TimeSpan.FromMinutes 5.0)
                []
                ignore
                browser
                [ "--headless"
                  "--no-sandbox"
                  "--disable-gpu"
                  "--disable-dev-shm-usage"
                  "--no-first-run"
                  $"--user-data-dir={profile}"
                  "--enable-logging=stderr"
                  $"--virtual-time-budget={2000 * pages.Length}"
                  "--dump-dom"
                  $"http://127.0.0.1:{port}/{name}" ]

        let page = String.concat "\n" finished.Lines

        [ if not (page.Contains $"data-opened=\"{pages.Length}\"") then
              $"the browser has not opened all of {pages.Length} pages: {page}"
          for line in finished.Lines do
              // A language that the highlighter does not know, such as that of diagrams, is a warning.
              if line.Contains ":CONSOLE" && not (line.Contains "\"WARN: ") then line ]
    finally
        listener.Close()
        serving.Wait(TimeSpan.FromSeconds 5.0) |> ignore
        File.Delete(Path.Combine(site, name))
        Directory.Delete(profile, recursive = true)

let private report what (found: string list) =
    for line in found do
        eprintfn "%s: %s" what line

    found.Length

let private check () =
    let count = (pages ()).Length
    let dead = deadLinks () |> report "dead link"

    let errors =
        match browser () with
        | Some browser -> scriptErrors browser |> report "script error"
        | None ->
            printfn "There is no Chromium on the PATH: the scripts of the pages were not run."
            0

    printfn "%d pages, %d dead links, %d script errors" count dead errors
    if dead + errors = 0 then 0 else 1

let run arguments =
    match arguments with
    | [] ->
        build ()
        printfn "artifacts/site/index.html"
        check ()
    | [ "--no-check" ] ->
        build ()
        printfn "artifacts/site/index.html"
        0
    | [ "--only-check" ] -> check ()
    | word :: _ -> failed $"{word} is not an option of site."
