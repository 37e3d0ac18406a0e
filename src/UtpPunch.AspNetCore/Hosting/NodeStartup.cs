using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace UtpPunch.AspNetCore;

/// <summary>The name of a node that the application has added.</summary>
internal sealed record NodeName(string Name);

/// <summary>Binds all named nodes when the host starts, so that a wrong option or a port in use ends the start, and not a later request.</summary>
internal sealed class NodeStartup(IServiceProvider services, IEnumerable<NodeName> names) : IHostedLifecycleService
{
    public Task StartingAsync(CancellationToken cancellationToken)
    {
        foreach (var name in names)
        {
            services.GetRequiredKeyedService<UtpNode>(name.Name);
        }

        return Task.CompletedTask;
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
