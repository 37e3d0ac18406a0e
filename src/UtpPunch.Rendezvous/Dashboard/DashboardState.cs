namespace UtpPunch.Rendezvous.Dashboard;

/// <summary>What the dashboard shows, as JSON. Names of rooms and addresses are in <see cref="Named"/> only.</summary>
/// <param name="Version">The version of the service.</param>
/// <param name="UptimeSeconds">The time since the service started.</param>
/// <param name="IsReady">Whether clients may be sent here.</param>
/// <param name="Load">What there is now.</param>
/// <param name="Totals">What was counted since the start, by the names of the series.</param>
/// <param name="LastMinute">The last seconds, at most 60, the latest one last, by the names of the series.</param>
/// <param name="LastHour">The last minutes, at most 60.</param>
/// <param name="Outcomes">The reports of the last hour.</param>
/// <param name="OutcomesInAll">The reports since the start.</param>
/// <param name="ReportsRefused">Reports that did not count.</param>
/// <param name="Redis">The store of several instances; null without one.</param>
/// <param name="Named">Names and addresses; null unless the settings ask for them.</param>
internal sealed record DashboardState(
    string Version,
    long UptimeSeconds,
    bool IsReady,
    Load Load,
    IReadOnlyDictionary<string, long> Totals,
    IReadOnlyDictionary<string, long[]> LastMinute,
    IReadOnlyDictionary<string, long[]> LastHour,
    Outcomes Outcomes,
    Outcomes OutcomesInAll,
    long ReportsRefused,
    RedisState? Redis,
    NamedState? Named);

/// <summary>The server's load, and its limits.</summary>
internal sealed record Load(int Rooms, int Waiting, int Staying, int Registrations, int MaxRegistrations, int IntroductionsUnderWay);

/// <summary>The store of several instances.</summary>
/// <param name="Instance">The random name of this instance.</param>
/// <param name="IsConnected">Whether the store answers.</param>
/// <param name="UnderWay">Requests without an answer yet.</param>
/// <param name="Errors">Requests that failed, and values that no instance has written.</param>
internal sealed record RedisState(string Instance, bool IsConnected, int UnderWay, long Errors);

/// <summary>What the operator has asked to see.</summary>
internal sealed record NamedState(IReadOnlyList<string> Listening, IReadOnlyList<NamedRoom> Rooms);

/// <summary>A room.</summary>
/// <param name="Tag">Its tag in hexadecimal digits.</param>
/// <param name="Name">Its name, if the settings have it; otherwise null: the server knows tags only.</param>
/// <param name="Visitors">Clients that leave the room when they are introduced.</param>
/// <param name="Staying">Clients that stay.</param>
/// <param name="Members">The addresses of at most eight of them.</param>
internal sealed record NamedRoom(string Tag, string? Name, int Visitors, int Staying, IReadOnlyList<string> Members);
