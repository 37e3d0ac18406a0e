using System.CommandLine;
using System.Text;

namespace UtpPunch.Cli;

/// <summary>The manual page of the tool in the macros of man(7), made from the command model.</summary>
internal sealed class ManPage(RootCommand root)
{
    private readonly StringBuilder _text = new();

    public override string ToString()
    {
        _text.Clear();
        Line($".TH UTP 1 \"\" \"utp {VersionAction.Version}\" \"User Commands\"");
        Section("NAME", $"utp \\- {Escape(root.Description!.TrimEnd('.'))}");
        Section("SYNOPSIS", "\\fButp\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]");
        Section("COMMANDS");
        foreach (var command in root.Subcommands.Where(command => !command.Hidden))
        {
            Write(command);
        }

        Section("EXIT STATUS");
        foreach (var (code, meaning) in ExitCodes.Meanings)
        {
            Item($"\\fB{code}\\fR", Sentence(meaning));
        }

        Section("ENVIRONMENT");
        Item($"\\fB{MeetOptions.Variable}\\fR", "The secret of the peers.");
        Item("\\fBUTP_TRANSPORT\\fR", "\\fBlinux\\fR or \\fBmanaged\\fR: how sockets are used. By default Linux's own calls where they are permitted.");
        Item("\\fBNO_COLOR\\fR", "If it is set and not empty, nothing is coloured.");
        Section("FILES");
        Item(
            "\\fI$XDG_CONFIG_HOME/utp/config.json\\fR, by default \\fI~/.config/utp/config.json\\fR",
            "Defaults: a JSON object of which a key is the long name of an option without its dashes; \\fBcommands\\fR is an object with such an"
            + $" object for each command that has defaults of its own. The keys are {Escape(string.Join(", ", UserConfiguration.Keys))}.");
        Section("STANDARDS", "BEP 29 (uTP), BEP 55, RFC 8489 and RFC 5780 (STUN), RFC 6887 (PCP), RFC 6886 (NAT\\-PMP).");
        return _text.ToString();
    }

    private void Write(Command command)
    {
        Line($".SS \"utp {Escape(command.Name)}{string.Concat(command.Arguments.Select(Form))}{(command.Options.Count > 0 ? " [OPTIONS]" : "")}\"");
        Line(Escape(command.Description!));
        foreach (var argument in command.Arguments)
        {
            Item($"\\fI{Escape(argument.Name)}\\fR", Escape(argument.Description!));
        }

        foreach (var option in command.Options.Where(option => !option.Hidden && option.Name is not ("--help" or "--version")))
        {
            var names = string.Join(", ", option.Aliases.Prepend(option.Name).OrderBy(name => name.Length).Select(name => $"\\fB{Escape(name)}\\fR"));
            Item(option.HelpName is { } value ? $"{names} \\fI{Escape(value)}\\fR" : names, Escape(option.Description!));
        }
    }

    private static string Form(Argument argument) =>
        argument.Arity.MinimumNumberOfValues == 0 ? $" [{Escape(argument.Name)}]" : $" {Escape(argument.Name)}";

    private void Section(string title, string? content = null)
    {
        Line($".SH \"{title}\"");
        if (content is not null)
        {
            Line(content);
        }
    }

    private void Item(string head, string content)
    {
        Line(".TP");
        Line(head);
        Line(content);
    }

    private void Line(string line) => _text.Append(line).Append('\n');

    private static string Sentence(string text) => Escape($"{char.ToUpperInvariant(text[0])}{text[1..]}.");

    /// <summary>Text for roff: no escape of its own, hyphens that can be copied, and no line that begins as a request does.</summary>
    private static string Escape(string text)
    {
        var escaped = text.Replace("\\", "\\e", StringComparison.Ordinal).Replace("-", "\\-", StringComparison.Ordinal)
            .Replace("\"", "\\(dq", StringComparison.Ordinal);
        return escaped is ['.' or '\'', ..] ? $"\\&{escaped}" : escaped;
    }
}
