namespace UtpPunch.Cli;

/// <summary>
/// `utp stun`: asks STUN servers for the mapped address of a port and for the behaviour of the NAT. The result goes to standard output; a
/// failure is also a line on standard error.
/// </summary>
internal static class Stun
{
    public static async Task<int> RunAsync(StunRequest request)
    {
        using var interruption = new Interruption();
        try
        {
            await using var trace = TraceFile.Create(request.Node.Trace);
            await using var node = await Nodes.BindAsync(new UtpNodeOptions(), request.Node, trace);
            Report(await node.DiscoverNatAsync(request.Servers, cancellationToken: interruption.Finish), request.IsJson);
            return ExitCodes.Success;
        }
        catch (OperationCanceledException) when (interruption.ExitCode is { } code)
        {
            ReportFailure("Cancelled", "interrupted", request.IsJson);
            ErrorOutput.Write("interrupted");
            return code;
        }
        catch (UtpException error)
        {
            ReportFailure($"{error.Error}", error.Message, request.IsJson);
            throw;
        }
    }

    private static void Report(UtpNatDiscovery seen, bool isJson)
    {
        if (!isJson)
        {
            Console.WriteLine(TerminalText.EscapeLines(DiscoveryText.Explain(seen)));
            return;
        }

        JsonLine.Write("discovered", json =>
        {
            json.WriteBoolean("success", true);
            json.WriteString("server", $"{seen.Server}");
            json.WriteString("mapped", $"{seen.MappedEndPoint}");
            json.WriteString("mapping", $"{seen.Mapping}");
            json.WriteString("filtering", $"{seen.Filtering}");
            if (seen.RoundTripTime is { } time)
            {
                json.WriteNumber("rttMs", Math.Round(time.TotalMilliseconds, 3));
            }

            json.WriteString("explanation", DiscoveryText.Meaning(seen));
        });
    }

    private static void ReportFailure(string stage, string explanation, bool isJson)
    {
        if (isJson)
        {
            JsonLine.Write("discovered", json =>
            {
                json.WriteBoolean("success", false);
                json.WriteString("stage", stage);
                json.WriteString("explanation", explanation);
            });
        }
    }
}
