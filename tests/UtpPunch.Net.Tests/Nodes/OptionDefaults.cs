using System.Net;
using System.Xml.Linq;
using UtpPunch.Protocol;

namespace UtpPunch.Tests;

/// <summary>Every default is defined in one place, and documented.</summary>
public static class OptionDefaults
{
    private const string Opening = "The default is ";

    [Fact("the documentation of every option states its real default")]
    public static void Documented()
    {
        var members = XDocument.Load(Path.Combine(AppContext.BaseDirectory, "UtpPunch.Net.xml")).Descendants("member")
            .ToDictionary(member => member.Attribute("name")!.Value);
        var wrong = new List<string>();
        var count = 0;
        foreach (var type in typeof(UtpNode).Assembly.GetExportedTypes().Where(type => type.Name.EndsWith("Options", StringComparison.Ordinal)))
        {
            var defaults = Activator.CreateInstance(type);
            foreach (var property in type.GetProperties())
            {
                count++;
                var expected = Opening + Shown(property.GetValue(defaults));
                var told = members[$"P:{type.FullName}.{property.Name}"].Element("value") is { } value
                    ? string.Concat(value.Nodes().Select(node => node.ToString(SaveOptions.DisableFormatting))).Trim()
                    : "";
                if (!told.StartsWith(expected, StringComparison.Ordinal) || !".,:;".Contains(told[expected.Length], StringComparison.Ordinal))
                {
                    wrong.Add($"{type.Name}.{property.Name}: \"{expected}\", but the documentation has \"{told}\"");
                }
            }
        }

        Check.Equal("", string.Join('\n', wrong));
        Check.That(count > 30, $"there are {count} options");
    }

    [Fact("a node without options is the core's standard node, in both dialects")]
    public static void Standard()
    {
        var frozen = UtpNodeOptionsCheck.Freeze(new UtpNodeOptions()).Node;

        // But for the congestion control: the core's is the one that yields, as BEP 29 has it.
        Check.Equal(UtpPunch.Protocol.CongestionControls.bbr, frozen.Bep29.Congestion);
        Check.Equal(NodeOptionsModule.standard, UtpNodeOptionsCheck.Freeze(new UtpNodeOptions { CongestionControl = UtpCongestionControl.Ledbat }).Node);
        var package = UtpNodeOptionsCheck.Freeze(UtpNodeOptions.FromNpm()).Node.UtpPunch;
        var standard = StreamOptionsModule.utpPunch;
        Check.Equal((standard.PacketSize, standard.LargestPacket, standard.PacketWindow), (package.PacketSize, package.LargestPacket, package.PacketWindow));
    }

    private static string Shown(object? value) => value switch
    {
        null => """<see langword="null" />""",
        true => """<see langword="true" />""",
        false => """<see langword="false" />""",
        TimeSpan time when time.Ticks % TimeSpan.TicksPerSecond == 0 => $"{time.TotalSeconds} s",
        TimeSpan time => $"{time.TotalMilliseconds} ms",
        int number when number >= 1 << 20 && number % (1 << 20) == 0 => $"{number >> 20} MiB",
        int number => $"{number}",
        long number when number >= 1 << 30 && number % (1 << 30) == 0 => $"{number >> 30} GiB",
        Enum choice => $"""<see cref="F:{choice.GetType().FullName}.{choice}" />""",
        UtpCongestionControl control => $"""<see cref="P:{control.GetType().FullName}.{char.ToUpperInvariant(control.Name[0])}{control.Name[1..]}" />""",
        IPEndPoint address => $"<c>{address}</c>",
        IEnumerable<IPEndPoint> addresses => string.Join(", ", addresses.Select(Shown)),
        _ => throw new NotSupportedException($"An option of type {value.GetType()}."),
    };
}
