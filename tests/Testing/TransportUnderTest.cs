namespace UtpPunch.Tests;

/// <summary>
/// The transport that a run of the tests is about: nodes take it where nothing else is said. `build.fsx` runs them once for each.
/// </summary>
public static class TransportUnderTest
{
    public const string Linux = "linux";
    public const string Managed = "managed";

    private static readonly string? Told = Environment.GetEnvironmentVariable("UTP_TRANSPORT");

    /// <summary>Its name.</summary>
    public static string Name { get; } = Told is Linux or Managed ? Told : OperatingSystem.IsLinux() ? Linux : Managed;

    /// <summary>Whether a test that is about one transport belongs to this run; null is about any. Without a choice all do.</summary>
    public static bool Concerns(string? transport) => transport is null || Told is not (Linux or Managed) || transport == Told;
}
