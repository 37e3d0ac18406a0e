using UtpPunch.Attacks.Hosts;

namespace UtpPunch.Attacks.Attacks;

/// <summary>How a meeting ended for one side.</summary>
internal sealed record Meeting(bool IsRight, bool IsWrong, double Seconds, string Words);

/// <summary>Meetings of two honest hosts.</summary>
internal static class Meetings
{
    public static async Task<Meeting[]> MeetAsync(Host server, Host a, Host b, string room, TimeSpan limit, string secret = "a-long-secret") =>
        await Task.WhenAll(EnterAsync(server, a, room, limit, secret), EnterAsync(server, b, room, limit, secret));

    /// <summary>One host enters a room.</summary>
    public static async Task<Meeting> EnterAsync(Host server, Host host, string room, TimeSpan limit, string secret = "a-long-secret")
    {
        try
        {
            var answer = await host.AskAsync($"meet {server.Ip} {server.Address.Port} {room} {secret} {limit.TotalSeconds:F0}", limit * 3);
            var isRight = answer.Number("right") == 1;
            return new(isRight, !isRight, answer.Number("ms") / 1000, answer.ToString());
        }
        catch (Exception e) when (e is IOException or TimeoutException)
        {
            return new(false, false, limit.TotalSeconds, e.Message);
        }
    }
}
