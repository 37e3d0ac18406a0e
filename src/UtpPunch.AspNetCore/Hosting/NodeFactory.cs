using System.Diagnostics.Metrics;
using System.Net;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace UtpPunch.AspNetCore;

/// <summary>Binds nodes with the options that the application has configured under their names.</summary>
internal sealed class NodeFactory(IOptionsFactory<UtpNodeOptions> options, ILoggerFactory loggers, IMeterFactory meters)
{
    /// <summary>Binds a node with the options of a name.</summary>
    public UtpNode Bind(string name) => UtpNode.Bind(Create(name));

    /// <summary>Binds a node to an address, with the options that have no name.</summary>
    public ValueTask<UtpNode> BindAsync(IPEndPoint localEndPoint)
    {
        var own = Create(Options.DefaultName);
        own.LocalEndPoint = localEndPoint;
        return UtpNode.BindAsync(own);
    }

    // The host's loggers and meters, unless the application has set others.
    private UtpNodeOptions Create(string name)
    {
        var own = options.Create(name);
        own.LoggerFactory ??= loggers;
        own.MeterFactory ??= meters;
        return own;
    }
}
