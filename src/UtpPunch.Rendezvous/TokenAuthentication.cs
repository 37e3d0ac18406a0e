using System.Net.Http.Headers;
using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace UtpPunch.Rendezvous;

/// <summary>
/// Asks for <see cref="Settings.AdminToken"/>: as a bearer token (RFC 6750), which programs send, or as the password of any user (RFC 7617), which a
/// browser asks its user for.
/// </summary>
internal sealed class TokenAuthentication(Settings settings) : IAuthenticationHandler
{
    public const string Scheme = "AdminToken";

    private static readonly StringValues s_challenges = new(["Basic realm=\"utp-rendezvous\", charset=\"UTF-8\"", "Bearer realm=\"utp-rendezvous\""]);

    private HttpContext? _context;

    private HttpContext Context => _context ?? throw new InvalidOperationException("The handler has no request yet.");

    public Task InitializeAsync(AuthenticationScheme scheme, HttpContext context)
    {
        _context = context;
        return Task.CompletedTask;
    }

    public Task<AuthenticateResult> AuthenticateAsync()
    {
        var header = Context.Request.Headers.Authorization;
        if (header.Count == 0)
        {
            return Task.FromResult(AuthenticateResult.NoResult());
        }

        var isKnown = header.Count == 1 && settings.AdminToken is { } token && TokenOf(header[0]) is { } given && AreEqual(given, token);
        return Task.FromResult(isKnown
            ? AuthenticateResult.Success(new AuthenticationTicket(new ClaimsPrincipal(new ClaimsIdentity(Scheme)), Scheme))
            : AuthenticateResult.Fail("The token is another one."));
    }

    public Task ChallengeAsync(AuthenticationProperties? properties)
    {
        Context.Response.StatusCode = StatusCodes.Status401Unauthorized;
        Context.Response.Headers[HeaderNames.WWWAuthenticate] = s_challenges;
        return Task.CompletedTask;
    }

    public Task ForbidAsync(AuthenticationProperties? properties)
    {
        Context.Response.StatusCode = StatusCodes.Status403Forbidden;
        return Task.CompletedTask;
    }

    private static string? TokenOf(string? header) => AuthenticationHeaderValue.TryParse(header, out var value) && value.Parameter is { } parameter
        ? value.Scheme.ToUpperInvariant() switch
        {
            "BEARER" => parameter,
            "BASIC" => PasswordOf(parameter),
            _ => null,
        }
        : null;

    private static string? PasswordOf(string credentials)
    {
        var bytes = new byte[credentials.Length];
        if (!Convert.TryFromBase64String(credentials, bytes, out var length))
        {
            return null;
        }

        var text = Encoding.UTF8.GetString(bytes, 0, length);
        var colon = text.IndexOf(':', StringComparison.Ordinal);
        return colon < 0 ? null : text[(colon + 1)..];
    }

    // The time that it takes tells neither how many characters are right nor how many there are.
    private static bool AreEqual(string given, string token) => CryptographicOperations.FixedTimeEquals(
        SHA256.HashData(Encoding.UTF8.GetBytes(given)), SHA256.HashData(Encoding.UTF8.GetBytes(token)));
}
