using UtpPunch;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Clients of <see cref="IHttpClientFactory"/> over uTP.</summary>
public static class UtpHttpClientBuilderExtensions
{
    /// <summary>Opens the connections of a client over a node of the application, to the host and port of the request, as
    /// <see cref="UtpHttpExtensions.UseUtp"/> does for a handler.</summary>
    /// <param name="builder">The client, as <c>AddHttpClient</c> or <c>AddGrpcClient</c> returns it.</param>
    /// <param name="nodeName">The name of the node; <see langword="null"/> for the node of
    /// <see cref="UtpServiceCollectionExtensions.AddUtpPunch(IServiceCollection, Action{UtpNodeOptions})"/>.</param>
    /// <param name="options">The options of the streams; <see langword="null"/> for those of the node.</param>
    /// <returns>The client.</returns>
    /// <example><code>
    /// builder.Services.AddUtpNode("peers", options => options.LocalEndPoint = new IPEndPoint(IPAddress.Any, 9000));
    /// builder.Services.AddHttpClient("friend", client => client.BaseAddress = new Uri("http://friend.example:9000/")).UseUtp("peers");
    /// </code></example>
    public static IHttpClientBuilder UseUtp(this IHttpClientBuilder builder, string? nodeName = null, UtpConnectOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(builder);
        return builder.UseSocketsHttpHandler((handler, services) => handler.UseUtp(
            nodeName is null ? services.GetRequiredService<UtpNode>() : services.GetRequiredKeyedService<UtpNode>(nodeName), options));
    }
}
