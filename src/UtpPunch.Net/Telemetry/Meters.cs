using System.Diagnostics.Metrics;
using System.Reflection;

namespace UtpPunch;

/// <summary>The meters "UtpPunch.Net": one of the process, and one for each factory that options name. docs/telemetry.md lists their instruments.</summary>
internal static class Meters
{
    public const string Name = "UtpPunch.Net";

    /// <summary>Gets the version of the library, without the commit.</summary>
    public static string Version { get; } =
        typeof(Meters).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "";

    // After the version, which it has.
    private static readonly Meter s_shared = new(Name, Version);

    /// <summary>Gets the meter of a factory; that of the process without one.</summary>
    public static Meter Of(IMeterFactory? factory) => factory?.Create(Name, Version) ?? s_shared;

    /// <summary>A measurement with one attribute.</summary>
    public static Measurement<long> Measured(long value, string key, string name) => new(value, new KeyValuePair<string, object?>(key, name));
}
