using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using UtpPunch;
using UtpPunch.AspNetCore;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Nodes as services of an application. The container closes them when the host is disposed: by
/// <see cref="UtpNode.DisposeAsync"/> if the host is disposed asynchronously, as <c>RunAsync</c> does; otherwise their streams are reset.</summary>
public static class UtpServiceCollectionExtensions
{
    /// <summary>
    /// Adds the Kestrel transport, and a node as the service <see cref="UtpNode"/>, which is bound when it is first used. It may be called
    /// several times. Nodes use the host's loggers and meters unless their options name others.
    /// </summary>
    /// <param name="services">The services.</param>
    /// <param name="configure">Sets options of that node, and of the nodes of
    /// <see cref="Microsoft.AspNetCore.Hosting.UtpKestrelExtensions.ListenUtp(KestrelServerOptions, int, Action{ListenOptions})"/>, whose address is the endpoint's.</param>
    /// <returns>The services.</returns>
    public static IServiceCollection AddUtpPunch(this IServiceCollection services, Action<UtpNodeOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.AddOptions();
        services.AddLogging();
        services.AddMetrics();
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<UtpNodeOptions>, NodeOptionsValidation>());
        services.TryAddSingleton<NodeFactory>();
        services.TryAddSingleton(static provider => provider.GetRequiredService<NodeFactory>().Bind(Microsoft.Extensions.Options.Options.DefaultName));
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IHostedService, NodeStartup>());
        // A server adds its own transport only where there is none.
        services.TryAddSingleton<IConnectionListenerFactory, SocketTransportFactory>();
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IConnectionListenerFactory, UtpTransportFactory>());
        if (configure is not null)
        {
            services.Configure(configure);
        }

        return services;
    }

    /// <summary>Does the same with options from configuration, and adds a named node for each section below <c>Nodes</c>.</summary>
    /// <param name="services">The services.</param>
    /// <param name="configuration">A section with the names of the properties of <see cref="UtpNodeOptions"/> as its keys, without
    /// <see cref="UtpNodeOptions.Trace"/>, <see cref="UtpNodeOptions.LoggerFactory"/>, <see cref="UtpNodeOptions.MeterFactory"/> and
    /// <see cref="UtpNodeOptions.TransportFactory"/>. An unknown key is an error when the host starts.</param>
    /// <returns>The services.</returns>
    /// <example>
    /// <code>builder.Services.AddUtpPunch(builder.Configuration.GetSection("UtpPunch"));</code>
    /// with, in appsettings.json,
    /// <code lang="json">"UtpPunch": { "ConnectTimeout": "00:00:05", "Nodes": { "peers": { "LocalEndPoint": "0.0.0.0:9000" } } }</code>
    /// </example>
    public static IServiceCollection AddUtpPunch(this IServiceCollection services, IConfiguration configuration)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        services.AddUtpPunch(options => NodeConfiguration.Apply(configuration, options));
        foreach (var node in configuration.GetSection(NodeConfiguration.Nodes).GetChildren())
        {
            services.AddUtpNode(node.Key, node);
        }

        return services;
    }

    /// <summary>Adds a node as the keyed service <see cref="UtpNode"/>, which is bound when the host starts.</summary>
    /// <param name="services">The services.</param>
    /// <param name="name">The name of the node, which is the key of the service and the name of its options.</param>
    /// <param name="configure">Sets its options.</param>
    /// <returns>The services.</returns>
    /// <example><code>
    /// builder.Services.AddUtpNode("peers", options => options.LocalEndPoint = new IPEndPoint(IPAddress.Any, 9000));
    /// app.MapGet("/peers", ([FromKeyedServices("peers")] UtpNode node) => node.GetStatistics().IncomingConnections);
    /// </code></example>
    public static IServiceCollection AddUtpNode(this IServiceCollection services, string name, Action<UtpNodeOptions> configure)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(configure);
        services.AddUtpPunch();
        services.TryAddKeyedSingleton(name, static (provider, key) => provider.GetRequiredService<NodeFactory>().Bind((string)key!));
        services.AddSingleton(new NodeName(name));
        services.Configure(name, configure);
        return services;
    }

    /// <summary>Does the same with options from configuration.</summary>
    /// <param name="services">The services.</param>
    /// <param name="name">The name of the node.</param>
    /// <param name="configuration">A section, as for <see cref="AddUtpPunch(IServiceCollection, IConfiguration)"/>.</param>
    /// <returns>The services.</returns>
    public static IServiceCollection AddUtpNode(this IServiceCollection services, string name, IConfiguration configuration)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        return services.AddUtpNode(name, options => NodeConfiguration.Apply(configuration, options));
    }
}
