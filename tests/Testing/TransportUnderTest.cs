namespace UtpPunch.Tests;

/// <summary>
/// The transport under test: nodes use it unless a test chooses another one. `build.fsx` runs the tests once for each.
/// </summary>
public static class TransportUnderTest
{
    public const string Linux = "linux";
    public const string Managed = "managed";

    private static readonly string? Told = Environment.GetEnvironmentVariable("UTP_TRANSPORT");

    /// <summary>Its name.</summary>
    public static string Name { get; } = Told is Linux or Managed ? Told : OperatingSystem.IsLinux() ? Linux : Managed;

    /// <summary>Makes nodes use it that do not choose another one.</summary>
    public static void Choose() => AppContext.SetSwitch("UtpPunch.Net.UseManagedSockets", Name == Managed);

    /// <summary>Whether a test of one transport belongs to this run; null is any transport. Without a choice all tests do.</summary>
    public static bool Concerns(string? transport) => transport is null || Told is not (Linux or Managed) || transport == Told;
}
