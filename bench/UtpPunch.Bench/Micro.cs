using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;

namespace UtpPunch.Bench;

/// <summary>The core's own parts, one by one, by BenchmarkDotNet. In this process: to build another one would need the packages of a build that
/// does not know how ours are restored.</summary>
internal static class Micro
{
    public const string Name = "parts";

    public static void Run() => BenchmarkRunner.Run<MicroBenchmarks>(ManualConfig.CreateEmpty()
        .AddJob(Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance))
        .AddDiagnoser(MemoryDiagnoser.Default)
        .AddLogger(ConsoleLogger.Default)
        .AddColumnProvider(DefaultColumnProviders.Instance)
        .AddExporter(MarkdownExporter.GitHub)
        .WithArtifactsPath(Path.Combine(Repository.Root, "artifacts", "bench")));
}
