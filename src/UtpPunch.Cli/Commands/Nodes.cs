using System.Net;
using System.Net.Sockets;

namespace UtpPunch.Cli;

/// <summary>Binds a node to the address that the user gave; a failure names it.</summary>
internal static class Nodes
{
    /// <summary>Binds a node that logs and records as the command line says. Its trace is written by <see cref="TraceFile"/>.</summary>
    public static async Task<UtpNode> BindAsync(UtpNodeOptions settings, NodeRequest request, TraceFile? trace = null)
    {
        settings.LoggerFactory = request.IsVerbose ? new ErrorLog() : null;
        settings.Trace = trace is null ? null : new UtpTraceOptions();
        var node = await BindAsync(settings, request.Bind);
        trace?.Record(node);
        return node;
    }

    public static async Task<UtpNode> BindAsync(UtpNodeOptions settings, IPEndPoint? where)
    {
        settings.LocalEndPoint = where ?? settings.LocalEndPoint;
        settings.SocketMode = SocketModeVariable.Read();
        try
        {
            return await UtpNode.BindAsync(settings);
        }
        catch (SocketException error)
        {
            var reason = error.SocketErrorCode == SocketError.AddressAlreadyInUse ? "the port is in use" : error.Message;
            throw new ToolException(ExitCodes.Failure, $"{settings.LocalEndPoint} cannot be bound: {reason}", error);
        }
    }
}
