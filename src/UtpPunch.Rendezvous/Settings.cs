using System.Globalization;
using System.Net;
using Microsoft.Extensions.Configuration;
using StackExchange.Redis;

namespace UtpPunch.Rendezvous;

/// <summary>The settings are not valid; the message names the key and its value.</summary>
internal sealed class SettingsException(string message) : Exception(message);

/// <summary>What the configuration says: a file, then variables of the environment, then the command line.</summary>
internal sealed class Settings
{
    private const string Logging = "Logging";
    private const int MaxRoomNames = 1000;
    private const int MaxAdminHosts = 100;
    private const int MinToken = 16;
    private const int MaxToken = 256;

    // What these say is not repeated in a message, which a log may keep.
    private static readonly string[] s_secrets = ["AdminToken", "Redis"];

    private static readonly Dictionary<string, Action<Settings, IConfigurationSection>> Setters = new(StringComparer.OrdinalIgnoreCase)
    {
        ["Listen"] = (settings, section) => settings.Server.LocalEndPoints = EndPointsOf(section),
        ["Admin"] = (settings, section) => settings.Admin = EndPointOf(section.Value),
        ["AdminHosts"] = (settings, section) => settings.AdminHosts = HostsOf(section),
        ["AdminToken"] = (settings, section) => settings.AdminToken = TokenOf(section.Value),
        ["Drain"] = (settings, section) => settings.Drain = DrainOf(section.Value),
        ["MaxRegistrations"] = (settings, section) => settings.Server.MaxRegistrations = CountOf(section.Value),
        ["MaxRegistrationsPerSource"] = (settings, section) => settings.Server.MaxRegistrationsPerSource = CountOf(section.Value),
        ["MaxRegistrationsPerRoom"] = (settings, section) => settings.Server.MaxRegistrationsPerRoom = CountOf(section.Value),
        ["DatagramsPerSecondPerSource"] = (settings, section) => settings.Server.DatagramsPerSecondPerSource = CountOf(section.Value),
        ["Redis"] = (settings, section) => settings.Redis = RedisOf(section.Value),
        ["Stun"] = (settings, section) => settings.Server.EnableStun = SwitchOf(section.Value),
        ["Legacy"] = (settings, section) => settings.Server.EnableNpm = SwitchOf(section.Value),
        ["ShowNames"] = (settings, section) => settings.ShowNames = SwitchOf(section.Value),
        ["RoomNames"] = (settings, section) => settings.RoomNames = NamesOf(section),
    };

    public UtpRendezvousServerOptions Server { get; } = new()
    {
        LocalEndPoints = [new IPEndPoint(IPAddress.IPv6Any, 42000), new IPEndPoint(IPAddress.IPv6Any, 42001)],
    };

    /// <summary>Where health, metrics and the dashboard are served over HTTP.</summary>
    public IPEndPoint Admin { get; private set; } = new(IPAddress.Loopback, 9100);

    /// <summary>The names that requests to <see cref="Admin"/> may have in their Host, besides its own address and those of loopback.</summary>
    public IReadOnlyList<string> AdminHosts { get; private set; } = [];

    /// <summary>What requests for metrics and the dashboard must know; null if they are answered to all.</summary>
    public string? AdminToken { get; private set; }

    /// <summary>The Redis in which the instances share their rooms; null for none.</summary>
    public ConfigurationOptions? Redis { get; private set; }

    /// <summary>How long introductions may take to end when the service stops.</summary>
    public TimeSpan Drain { get; private set; } = TimeSpan.FromSeconds(10);

    /// <summary>Whether the dashboard shows tags and names of rooms and addresses of clients.</summary>
    public bool ShowNames { get; private set; }

    /// <summary>Names of rooms without a secret, which the dashboard shows instead of their tags.</summary>
    public IReadOnlyList<string> RoomNames { get; private set; } = [];

    /// <exception cref="SettingsException">A key or a value is not valid.</exception>
    public static Settings Read(IConfiguration configuration)
    {
        var settings = new Settings();
        foreach (var section in configuration.GetChildren())
        {
            if (string.Equals(section.Key, Logging, StringComparison.OrdinalIgnoreCase))
            {
                continue;
            }

            if (!Setters.TryGetValue(section.Key, out var set))
            {
                throw new SettingsException(
                    $"{section.Key}: there is no such setting. The settings are {string.Join(", ", Setters.Keys)}, {Logging}.");
            }

            try
            {
                set(settings, section);
            }
            catch (FormatException error)
            {
                var value = s_secrets.Contains(section.Key, StringComparer.OrdinalIgnoreCase) ? "its value" : $"\"{section.Value}\"";
                throw new SettingsException($"{section.Path}: {value} is not valid: {error.Message}");
            }
        }

        return settings;
    }

    private static IPEndPoint[] EndPointsOf(IConfigurationSection section)
    {
        var texts = section.GetChildren().Select(child => child.Value).ToArray();
        return texts.Length is >= 1 and <= 4
            ? [.. texts.Select(EndPointOf)]
            : throw new FormatException("It must be a list of one to four addresses with ports.");
    }

    private static IPEndPoint EndPointOf(string? text) => IPEndPoint.TryParse(text ?? "", out var value)
        ? value
        : throw new FormatException($"{text} is no address with a port, such as 0.0.0.0:42000 or [::]:42000.");

    private static ConfigurationOptions? RedisOf(string? text)
    {
        if (string.IsNullOrWhiteSpace(text))
        {
            return null;
        }

        try
        {
            var options = ConfigurationOptions.Parse(text);
            return options.EndPoints.Count > 0 ? options : throw new FormatException("It has no address, such as 127.0.0.1:6379.");
        }
        catch (ArgumentException error)
        {
            throw new FormatException(error.Message, error);
        }
    }

    private static string[] NamesOf(IConfigurationSection section)
    {
        var names = section.GetChildren().Select(child => child.Value ?? "").ToArray();
        return names.Length <= MaxRoomNames && names.All(name => name.Length > 0)
            ? names
            : throw new FormatException($"It must be a list of at most {MaxRoomNames} names.");
    }

    private static string[] HostsOf(IConfigurationSection section)
    {
        var hosts = section.GetChildren().Select(child => HostOf(child.Value ?? "")).ToArray();
        return hosts.Length <= MaxAdminHosts ? hosts : throw new FormatException($"It must be a list of at most {MaxAdminHosts} hosts.");
    }

    private static string HostOf(string text) =>
        IPAddress.TryParse(text, out var address) && !AdminAccess.IsWildcard(address) ? AdminAccess.HostOf(address)
        : text == "*" || Uri.CheckHostName(text.StartsWith("*.", StringComparison.Ordinal) ? text[2..] : text) == UriHostNameType.Dns ? text
        : throw new FormatException($"{text} is no host, such as rendezvous.example, *.example or 192.0.2.1.");

    // The characters of a bearer token (RFC 6750).
    private static string? TokenOf(string? text) => string.IsNullOrEmpty(text)
        ? null
        : text.Length is >= MinToken and <= MaxToken && text.All(character => char.IsAsciiLetterOrDigit(character) || "-._~+/=".Contains(character, StringComparison.Ordinal))
            ? text
            : throw new FormatException($"It must have {MinToken} to {MaxToken} characters, which are letters and digits of ASCII and -._~+/=.");

    private static int CountOf(string? text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count > 0
            ? count
            : throw new FormatException("It must be a positive number.");

    private static bool SwitchOf(string? text) => bool.TryParse(text, out var value) ? value : throw new FormatException("It must be true or false.");

    private static TimeSpan DrainOf(string? text) =>
        TimeSpan.TryParse(text, CultureInfo.InvariantCulture, out var time) && time >= TimeSpan.Zero && time <= TimeSpan.FromMinutes(10)
            ? time
            : throw new FormatException("It must be a time from 00:00:00 to 00:10:00.");
}
