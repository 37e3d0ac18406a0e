using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;

namespace UtpPunch.Bench;

/// <summary>Micro-benchmarks of the core with BenchmarkDotNet, in this process: the project that it would generate could not restore packages
/// through Paket.</summary>
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
