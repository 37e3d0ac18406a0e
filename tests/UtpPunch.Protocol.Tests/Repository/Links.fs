/// The links of the documentation, in the sources: the short form of `dotnet fsi build.fsx site`, which needs no docfx.
module UtpPunch.Protocol.Tests.Links

open System
open System.IO
open System.Text.RegularExpressions
open Expecto
open UtpPunch.Protocol.Tests.Sources

let private pages =
    lazy
        [| yield! Directory.GetFiles(root.Value, "*.md")
           yield! Directory.GetFiles(Path.Combine(root.Value, "docs"), "*.md") |]

/// The lines outside of blocks of code.
let private proseOf (page: string) =
    let mutable isCode = false

    [| for line in File.ReadAllLines page do
           if line.StartsWith "```" then isCode <- not isCode
           elif not isCode then line |]

/// The anchor of a heading, as code hosts and docfx make it.
let private anchorOf (heading: string) =
    let text = Regex.Replace(heading.TrimStart('#', ' '), @"\[([^\]]*)\]\([^)]*\)", "$1")
    Regex.Replace(text.ToLowerInvariant(), @"[^\w\- ]", "").Replace(' ', '-')

let private anchorsOf =
    let known = Collections.Concurrent.ConcurrentDictionary<string, string[]>()

    fun page ->
        known.GetOrAdd(
            page,
            fun page ->
                [| for line in proseOf page do
                       if Regex.IsMatch(line, "^#+ ") then anchorOf line |]
        )

let private linksOf page =
    [ for line in proseOf page do
          for link in Regex.Matches(line, @"\]\(([^)\s]+)\)") do
              if not (Regex.IsMatch(link.Groups[1].Value, "^[a-z]+:")) then link.Groups[1].Value ]

let private isDead (page: string) (link: string) =
    let address, anchor =
        match link.Split('#', 2) with
        | [| address; anchor |] -> address, anchor
        | _ -> link, ""

    let target =
        if address = "" then
            page
        else
            Path.GetFullPath(Path.Combine(Path.GetDirectoryName page, address))

    not (File.Exists target || Directory.Exists target)
    || (anchor <> "" && not (target.EndsWith ".md" && Array.contains anchor (anchorsOf target)))

let tests =
    testList
        "links"
        [ test "every link of a page leads to a file, and to a heading, that exist" {
              let links = [ for page in pages.Value -> page, linksOf page ]
              Expect.isGreaterThan (List.sumBy (snd >> List.length) links) 150 "links that were found"

              nowhere
                  "links that lead nowhere"
                  (seq {
                      for page, links in links do
                          for link in links do
                              if isDead page link then $"{relative page}: {link}"
                  })
          }
          test "a link to a heading that does not exist is detected" {
              let page = Path.Combine(root.Value, "docs/tool.md")
              Expect.isTrue (isDead page "library.md#no-such-heading") "a heading of another page"
              Expect.isTrue (isDead page "no-such-page.md") "a page"
              Expect.isFalse (isDead page "library.md#congestion-control") "a heading that exists"
          }
          test "every page is in the table of contents of the site" {
              let contents = File.ReadAllText(Path.Combine(root.Value, "toc.yml"))

              nowhere
                  "pages that toc.yml does not have"
                  (seq {
                      for page in pages.Value do
                          if not (contents.Contains $"href: {relative page}\n") then relative page
                  })
          } ]
