namespace UtpPunch.Cli;

/// <summary>
/// `utp map`: maps a port at the router, and keeps the mapping until a signal ends it. The external endpoint goes to standard output; a failure
/// is also a line on standard error.
/// </summary>
internal static class Map
{
    public static async Task<int> RunAsync(MapRequest request)
    {
        using var interruption = new Interruption();
        try
        {
            await using var trace = TraceFile.Create(request.Node.Trace);
            await using var node = await Nodes.BindAsync(new UtpNodeOptions(), request.Node, trace);
            await using var mapping = await node.MapPortAsync(request.Options, interruption.Finish);
            var gate = new Lock();
            mapping.Changed += (_, _) => Report(mapping, gate, request.IsJson);
            Report(mapping, gate, request.IsJson);
            if (!request.IsOnce)
            {
                await Task.WhenAny(node.Completion, Task.Delay(Timeout.Infinite, interruption.Finish));
            }

            return interruption.ExitCode ?? ExitCodes.Success;
        }
        catch (OperationCanceledException) when (interruption.ExitCode is { } code)
        {
            ReportFailure("Cancelled", "interrupted", request.IsJson);
            ErrorOutput.Write("interrupted");
            return code;
        }
        catch (ArgumentException error)
        {
            throw new ToolException(ExitCodes.Failure, error.Message.Split(" (Parameter", 2)[0], error);
        }
        catch (UtpException error)
        {
            ReportFailure($"{error.Error}", error.Message, request.IsJson);
            throw;
        }
    }

    private static void Report(UtpPortMapping mapping, Lock gate, bool isJson)
    {
        lock (gate)
        {
            if (mapping.LossReason is { } reason)
            {
                ReportLoss(reason, isJson);
            }
            else if (isJson)
            {
                ReportJson(mapping);
            }
            else
            {
                var limit = mapping.Lifetime == Timeout.InfiniteTimeSpan ? "without limit" : $"for {mapping.Lifetime.TotalSeconds:F0} s";
                var warning = mapping.IsBehindFurtherNat ? "; this is not a public address: there is a further NAT" : "";
                Console.WriteLine($"{mapping.ExternalEndPoint} is mapped to {mapping.InternalEndPoint} by {NameOf(mapping.Protocol)} {limit}{warning}");
            }
        }
    }

    private static string NameOf(UtpPortMappingProtocol protocol) => protocol switch
    {
        UtpPortMappingProtocol.Pcp => "PCP",
        UtpPortMappingProtocol.NatPmp => "NAT-PMP",
        _ => "UPnP",
    };

    private static void ReportJson(UtpPortMapping mapping) => JsonLine.Write("mapped", json =>
    {
        json.WriteBoolean("success", true);
        json.WriteString("external", $"{mapping.ExternalEndPoint}");
        json.WriteString("internal", $"{mapping.InternalEndPoint}");
        json.WriteString("protocol", $"{mapping.Protocol}");
        json.WriteBoolean("behindFurtherNat", mapping.IsBehindFurtherNat);
        if (mapping.Lifetime != Timeout.InfiniteTimeSpan)
        {
            json.WriteNumber("lifetimeSeconds", mapping.Lifetime.TotalSeconds);
        }
    });

    private static void ReportLoss(string reason, bool isJson)
    {
        if (isJson)
        {
            JsonLine.Write("lost", json => json.WriteString("explanation", reason));
        }
        else
        {
            ErrorOutput.Warn($"the port is not mapped any more: {reason}");
        }
    }

    private static void ReportFailure(string stage, string explanation, bool isJson)
    {
        if (isJson)
        {
            JsonLine.Write("mapped", json =>
            {
                json.WriteBoolean("success", false);
                json.WriteString("stage", stage);
                json.WriteString("explanation", explanation);
            });
        }
    }
}
