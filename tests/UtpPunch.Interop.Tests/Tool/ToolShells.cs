using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>`utp completion` and `utp man`, with the shells and the formatter that users have.</summary>
public static class ToolShells
{
    [Fact("utp suggest offers commands, options and values that begin with what was typed, with descriptions", Parallel = true)]
    public static async Task Suggestions()
    {
        Check.Equal("cat completion", await WordsAsync("utp c"));
        Check.Equal("--congestion --connect-timeout", await WordsAsync("utp cat --con"));
        Check.Equal("bbr cubic ledbat", await WordsAsync("utp cat --congestion "));
        Check.Equal("cubic", await WordsAsync("utp cat --congestion c"));
        Check.Equal("strict", await WordsAsync("utp replay x --mode st"));
        Check.Equal("bash fish pwsh zsh", await WordsAsync("utp completion "));
        Check.Equal("", await WordsAsync("utp replay "));
        Check.Equal("--help --json --mode", await WordsAsync("utp replay x.utrace "));
        Check.Equal("", await WordsAsync("utp cat --trace "));
        var lines = await SuggestAsync("utp stu");
        Check.Equal("stun\tAsk a STUN server for this machine's public address and for the behaviour of its NAT.\n", lines);
        Check.That(!(await WordsAsync("utp ")).Contains("peer", StringComparison.Ordinal), "no hidden command");
    }

    [Fact("bash completes by the script of utp completion bash, and names of files where utp has nothing to say", Parallel = true)]
    public static async Task Bash()
    {
        var bash = Need("bash");
        const string Ask = """
            source <("$UTP" completion bash)
            COMP_LINE="$1" COMP_POINT=${#1} COMP_WORDS=("$UTP")
            _utp
            printf '%s\n' "${COMPREPLY[@]}"
            complete -p utp
            """;
        using var folder = new ToolFolder();
        var (output, errors) = await OtherTool.RunAsync("env", $"UTP={folder.Tool}", bash, "--norc", "-c", Ask, "bash", "utp cat --con");
        Check.Equal("", errors);
        Check.Equal("--congestion\n--connect-timeout\ncomplete -o bashdefault -o default -F _utp utp\n", output);
    }

    [Fact("zsh completes by the script of utp completion zsh", Parallel = true)]
    public static async Task Zsh()
    {
        // An interactive zsh in a terminal of its own (zsh/zpty): Tab completes what is typed.
        const string Ask = """
            zmodload zsh/zpty
            seen=
            await() {
                local part i
                for i in {1..400}; do
                    while zpty -r -t shell part; do seen+=$part; done
                    [[ $seen == $~1 ]] && return
                    sleep 0.05
                done
                print -r -- "no $1 in $seen"
                exit 1
            }
            zpty shell zsh -f -i
            zpty -w shell 'PS1=; TERM=dumb; autoload -Uz compinit; compinit -D -u; source <(utp completion zsh); print rea""dy'
            await '*ready*'
            zpty -w -n shell $'utp replay x --mode sem\t'
            await '*--mode semantic *'
            zpty -w -n shell $'\x15utp cat --con\t'
            await '*--congestion *Congestion control*--connect-timeout *'
            zpty -d shell
            print completed
            """;
        using var folder = new ToolFolder();
        var (output, _) = await OtherTool.RunAsync("env", $"PATH={folder.Path}", Need("zsh"), "-f", "-c", Ask);
        Check.Equal("completed\n", output);
    }

    [Fact("fish completes by the script of utp completion fish, with descriptions, and names of files where utp has nothing to say", Parallel = true)]
    public static async Task Fish()
    {
        using var folder = new ToolFolder();
        var fish = Need("fish");
        var file = System.IO.Path.Combine(folder.Root, "capture.utrace");
        await File.WriteAllTextAsync(file, "");
        var ask = $"utp completion fish | source; complete -C 'utp cat --con'; complete -C 'utp cat --trace {folder.Root}/cap'";
        var (output, errors) = await OtherTool.RunAsync("env", $"PATH={folder.Path}", $"HOME={folder.Root}", fish, "--no-config", "-c", ask);
        Check.Equal("", errors);
        var lines = output.TrimEnd('\n').Split('\n');
        Check.Equal(3, lines.Length, output);
        Check.That(lines[0].StartsWith("--congestion\tCongestion control of what is sent", StringComparison.Ordinal), output);
        Check.That(lines[1].StartsWith("--connect-timeout\tTime for the peer", StringComparison.Ordinal), output);
        Check.That(lines[2].StartsWith(file, StringComparison.Ordinal), output);
    }

    [Fact("PowerShell completes by the script of utp completion pwsh, also within a line, and names of files where utp has nothing to say", Parallel = true)]
    public static async Task PowerShell()
    {
        const string Ask = """
            utp completion pwsh | Out-String | Invoke-Expression
            function Ask($line, $at = $line.Length) {
                $found = (TabExpansion2 -inputScript $line -cursorColumn $at).CompletionMatches
                ($found | ForEach-Object { "$($_.CompletionText)=$($_.ToolTip.Split(' ')[0])" }) -join ' '
            }
            Ask 'utp cat --con'
            Ask 'utp cat --congestion '
            Ask 'utp cat --con --listen' 13
            Ask '1; utp c --listen' 8
            Ask 'utp replay x --mode st'
            Ask "utp cat --trace $PSScriptRoot/cap"
            """;
        using var folder = new ToolFolder();
        var script = System.IO.Path.Combine(folder.Root, "ask.ps1");
        var file = System.IO.Path.Combine(folder.Root, "capture.utrace");
        await File.WriteAllTextAsync(script, Ask);
        await File.WriteAllTextAsync(file, "");
        string[] own = ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"];
        string[] variables = [$"PATH={folder.Path}", "POWERSHELL_TELEMETRY_OPTOUT=1", "POWERSHELL_UPDATECHECK=Off", .. own.Select(name => $"{name}={folder.Root}")];
        string[] shell = [.. await NeedPowerShellAsync(), "-NoLogo", "-NoProfile", "-NonInteractive", "-File", script];
        var (output, errors) = await OtherTool.RunAsync("env", [.. variables, .. shell]);
        Check.Equal("", errors);
        const string Options = "--congestion=Congestion --connect-timeout=Time";
        Check.Equal(
            $"{Options}\nbbr=bbr cubic=cubic ledbat=ledbat\n{Options}\ncat=Copy completion=Print\nstrict=strict\n{file}={file}\n",
            output.ReplaceLineEndings("\n"));
    }

    [Fact("the manual page is formatted without a warning, and has every command, option and exit code", Parallel = true)]
    public static async Task ManualPage()
    {
        using var folder = new ToolFolder();
        var page = System.IO.Path.Combine(folder.Root, "utp.1");
        using (var tool = ToolProcess.Start("man"))
        {
            await tool.SucceedAsync();
            await File.WriteAllBytesAsync(page, await tool.OutputAsync());
        }

        var (text, warnings) = await OtherTool.RunAsync(Need("groff"), "-man", "-ww", "-Tascii", "-P-cbou", "-rLL=1000n", page);
        Check.Equal("", warnings);
        foreach (var expected in new[]
        {
            "utp - Reliable byte streams over UDP", "utp cat [HOST] [PORT] [OPTIONS]", "-l, --listen", "--congestion bbr|cubic|ledbat", "utp bench",
            "143", "Terminated by SIGTERM.", "UTP_SECRET", "config.json", "utp map [OPTIONS]",
        })
        {
            Check.That(text.Contains(expected, StringComparison.Ordinal), $"the page has '{expected}': {text}");
        }
    }

    [Fact("docs/tool.md names every command, and every option but --help", Parallel = true)]
    public static async Task Documented()
    {
        using var tool = ToolProcess.Start("man");
        var page = await tool.TextAsync();
        var text = await Repository.TextAsync("docs/tool.md");
        var options = System.Text.RegularExpressions.Regex.Matches(page, @"\\-\\-([a-z0-9\\-]+)\\fR").Select(match => match.Groups[1].Value.Replace("\\", "", StringComparison.Ordinal));
        string[] missing = [.. options.Distinct().Where(option => !text.Contains($"--{option}", StringComparison.Ordinal))];
        Check.Equal("", string.Join(' ', missing));
        foreach (var line in page.Split('\n').Where(line => line.StartsWith(".SS \"utp ", StringComparison.Ordinal)))
        {
            var command = line.Split(' ')[2].Trim('"');
            Check.That(text.Contains($"[`{command}`](#utp-", StringComparison.Ordinal), command);
        }
    }

    private static string Need(string program)
    {
        var found = OtherTool.Find(program);
        Skip.Unless(found is not null, $"needs {program}");
        return found!;
    }

    /// <summary>PowerShell on the PATH, or the tool that the build script restores in tests/peers.</summary>
    private static async Task<string[]> NeedPowerShellAsync()
    {
        if (OtherTool.Find("pwsh") is { } program)
        {
            return [program];
        }

        var folder = System.IO.Path.Combine(Repository.Root, "tests", "peers");
        using var version = ProgramRun.Start(folder, "dotnet", ["pwsh", "-Version"]);
        await version.EndAsync();
        Skip.Unless(version.ExitCode == 0, "needs PowerShell: dotnet tool restore in tests/peers");
        return ["sh", "-c", "cd \"$0\" && exec dotnet pwsh \"$@\"", folder];
    }

    private static async Task<string> WordsAsync(string line) =>
        string.Join(' ', (await SuggestAsync(line)).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(row => row.Split('\t')[0]));

    private static async Task<string> SuggestAsync(string line)
    {
        using var tool = ToolProcess.StartWords("suggest", $"{line.Length}", line);
        await tool.SucceedAsync();
        return await tool.TextAsync();
    }

    /// <summary>A folder with an executable `utp`, as a user has it on the PATH.</summary>
    private sealed class ToolFolder : IDisposable
    {
        public ToolFolder()
        {
            File.WriteAllText(Tool, $"#!/bin/sh\nexec dotnet exec '{ToolProcess.Assembly}' \"$@\"\n");
            if (!OperatingSystem.IsWindows())
            {
                File.SetUnixFileMode(Tool, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            }
        }

        public string Root { get; } = Directory.CreateTempSubdirectory("utp-shell-").FullName;

        public string Tool => System.IO.Path.Combine(Root, "utp");

        public string Path => $"{Root}{System.IO.Path.PathSeparator}{Environment.GetEnvironmentVariable("PATH")}";

        public void Dispose() => Directory.Delete(Root, recursive: true);
    }
}
