using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace UtpPunch.Rendezvous;

/// <summary>
/// Who may ask the address of metrics and the dashboard. The name in a request's Host is checked: a page that a browser of this machine shows could
/// otherwise read the answers, by a name of its own that its DNS server lets point here (DNS rebinding). With <see cref="Settings.AdminToken"/> all but
/// the health needs the token.
/// </summary>
internal static class AdminAccess
{
    private static readonly string[] s_loopback = ["localhost", "127.0.0.1", "[::1]"];

    /// <summary>Adds the services that <see cref="Use"/> needs.</summary>
    public static void Add(IServiceCollection services, Settings settings)
    {
        services.AddHostFiltering(options =>
        {
            // A wildcard address in this list would stand for all hosts.
            string[] own = IsWildcard(settings.Admin.Address) ? [] : [HostOf(settings.Admin.Address)];
            options.AllowedHosts = [.. s_loopback, .. own, .. settings.AdminHosts];
            options.IncludeFailureMessage = false;
        });
        if (settings.AdminToken is null)
        {
            return;
        }

        services.AddAuthenticationCore(options =>
        {
            options.DefaultScheme = TokenAuthentication.Scheme;
            options.AddScheme<TokenAuthentication>(TokenAuthentication.Scheme, displayName: null);
        });
        services.AddTransient<TokenAuthentication>();

        // Every path needs it that does not say otherwise.
        services.AddAuthorization(options => options.FallbackPolicy = new AuthorizationPolicyBuilder().RequireAuthenticatedUser().Build());
    }

    /// <summary>Checks requests before they are answered.</summary>
    public static void Use(WebApplication app, Settings settings)
    {
        app.UseStatusCodePages(context => context.HttpContext.Response.WriteAsync(TextOf(context.HttpContext.Response.StatusCode)));

        // Behind a socket of all addresses any of them may be named, and what a router in between shows for it: no DNS server can change where a number leads.
        var isWildcard = IsWildcard(settings.Admin.Address);
        app.UseWhen(context => !isWildcard || !IPAddress.TryParse(context.Request.Host.Host, out _), branch => branch.UseHostFiltering());
        if (settings.AdminToken is not null)
        {
            app.UseAuthentication();
            app.UseAuthorization();
        }
    }

    /// <summary>Whether a socket of this address is one of all addresses.</summary>
    public static bool IsWildcard(IPAddress address) => address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any);

    /// <summary>An address as it is written in a Host.</summary>
    public static string HostOf(IPAddress address) => address.AddressFamily == AddressFamily.InterNetworkV6 ? $"[{address}]" : $"{address}";

    private static string TextOf(int status) => status switch
    {
        StatusCodes.Status400BadRequest => "The host that the request names is not one of this service: see AdminHosts in its settings.\n",
        StatusCodes.Status401Unauthorized => "This needs the AdminToken of the service's settings, as a bearer token or as a password.\n",
        StatusCodes.Status404NotFound => "There is no such path.\n",
        _ => $"{status}\n",
    };
}
