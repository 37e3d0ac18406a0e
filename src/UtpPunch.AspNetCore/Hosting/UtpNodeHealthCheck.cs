using Microsoft.Extensions.Diagnostics.HealthChecks;
using UtpPunch;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Health checks of nodes.</summary>
public static class UtpHealthCheckExtensions
{
    /// <summary>Adds a check that a node is open. It fails when the node was closed or has failed, with the error; its data are the numbers of
    /// streams and of datagrams that the system has not sent.</summary>
    /// <param name="builder">The health checks.</param>
    /// <param name="nodeName">The name of the node; <see langword="null"/> for the node of
    /// <see cref="UtpServiceCollectionExtensions.AddUtpPunch(IServiceCollection, Action{UtpNodeOptions})"/>.</param>
    /// <param name="name">The name of the check; <see langword="null"/> for <c>utp</c>, or <c>utp:</c> and the name of the node.</param>
    /// <param name="failureStatus">The status of a failure; <see langword="null"/> for <see cref="HealthStatus.Unhealthy"/>.</param>
    /// <param name="tags">The tags of the check; <see langword="null"/> for none.</param>
    /// <returns>The health checks.</returns>
    /// <example><code>
    /// builder.Services.AddHealthChecks().AddUtpNode("peers");
    /// app.MapHealthChecks("/healthz");
    /// </code></example>
    public static IHealthChecksBuilder AddUtpNode(
        this IHealthChecksBuilder builder,
        string? nodeName = null,
        string? name = null,
        HealthStatus? failureStatus = null,
        IEnumerable<string>? tags = null)
    {
        ArgumentNullException.ThrowIfNull(builder);
        return builder.Add(new HealthCheckRegistration(
            name ?? (nodeName is null ? "utp" : $"utp:{nodeName}"),
            services => new UtpNodeHealthCheck(
                nodeName is null ? services.GetRequiredService<UtpNode>() : services.GetRequiredKeyedService<UtpNode>(nodeName)),
            failureStatus,
            tags));
    }

    private sealed class UtpNodeHealthCheck(UtpNode node) : IHealthCheck
    {
        public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
        {
            if (node.Completion.IsCompleted)
            {
                var error = node.Completion.Exception?.InnerException;
                return Task.FromResult(new HealthCheckResult(
                    context.Registration.FailureStatus, error is null ? "The node was closed." : error.Message, error));
            }

            var now = node.GetStatistics();
            return Task.FromResult(HealthCheckResult.Healthy($"{node.LocalEndPoint}", new Dictionary<string, object>(StringComparer.Ordinal)
            {
                ["incoming"] = now.IncomingConnections,
                ["outgoing"] = now.OutgoingConnections,
                ["halfOpen"] = now.HalfOpen,
                ["datagramsDropped"] = now.DatagramsDropped,
            }));
        }
    }
}
