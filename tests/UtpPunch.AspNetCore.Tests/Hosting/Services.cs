using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Net;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using UtpPunch.AspNetCore;

namespace UtpPunch.Tests;

/// <summary>Nodes as services: options, configuration, health.</summary>
public static class Services
{
    [Fact("configuration sets the options of the default node and of named ones", Parallel = true)]
    public static void Configured()
    {
        using var services = Provider(
            new("Utp:MaxConnections", "100"),
            new("Utp:ConnectTimeout", "00:00:03"),
            new("Utp:Nodes:a:LocalEndPoint", "127.0.0.1:0"),
            new("Utp:Nodes:a:CongestionControl", "ledbat"),
            new("Utp:Nodes:a:PacketSize", "1300"),
            new("Utp:Nodes:a:NoDelay", "false"),
            new("Utp:Nodes:b:SocketMode", "managed"),
            new("Utp:Nodes:b:IdleTimeout", "-00:00:00.0010000"));
        var options = services.GetRequiredService<IOptionsMonitor<UtpNodeOptions>>();
        Check.Equal(100, options.CurrentValue.MaxConnections);
        Check.Equal(TimeSpan.FromSeconds(3), options.CurrentValue.ConnectTimeout);
        var a = options.Get("a");
        Check.Equal(new IPEndPoint(IPAddress.Loopback, 0), a.LocalEndPoint);
        Check.Equal(UtpCongestionControl.Ledbat, a.CongestionControl);
        Check.Equal(1300, a.PacketSize);
        Check.That(!a.NoDelay);
        Check.Equal(UtpSocketMode.Managed, options.Get("b").SocketMode);
        Check.Equal(Timeout.InfiniteTimeSpan, options.Get("b").IdleTimeout);
        var node = services.GetRequiredKeyedService<UtpNode>("a");
        Check.Equal(IPAddress.Loopback, node.LocalEndPoint.Address);
        Check.That(ReferenceEquals(node, services.GetRequiredKeyedService<UtpNode>("a")), "one node for a name");
    }

    [Fact("configuration has a key for every option but the trace, which names a file, and the logger, the meter and the transport, which are objects", Parallel = true)]
    public static void EveryOption()
    {
        string[] unbound =
        [
            nameof(UtpNodeOptions.Trace), nameof(UtpNodeOptions.LoggerFactory), nameof(UtpNodeOptions.MeterFactory), nameof(UtpNodeOptions.TransportFactory),
        ];
        var options = typeof(UtpNodeOptions).GetProperties().Select(property => property.Name).Except(unbound);
        foreach (var option in options)
        {
            // An empty text is no value of any of them; an unknown key has another message.
            using var services = Provider(new KeyValuePair<string, string?>($"Utp:{option}", ""));
            var error = Check.Throws<InvalidOperationException>(() => _ = services.GetRequiredService<IOptions<UtpNodeOptions>>().Value);
            Check.That(error.Message.Contains("is not valid", StringComparison.Ordinal), error.Message);
        }
    }

    [Fact("an unknown key, a value that does not parse and one out of range end the start, and are named", Parallel = true)]
    public static async Task Invalid()
    {
        foreach (var (key, value, told) in new[]
        {
            ("MaxConections", "1", "Utp:Nodes:a:MaxConections: there is no such option"),
            ("LocalEndPoint", "here", "Utp:Nodes:a:LocalEndPoint: \"here\" is not valid"),
            ("Dialect", "7", "one of Bep29, Npm"),
            ("PacketSize", "many", "Utp:Nodes:a:PacketSize: \"many\""),
            ("SendBufferSize", "1", "uTP node \"a\": The option lies between 65536"),
        })
        {
            var builder = new HostApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
            builder.Configuration.AddInMemoryCollection([new($"Utp:Nodes:a:{key}", value)]);
            builder.Services.AddUtpPunch(builder.Configuration.GetSection("Utp"));
            using var host = builder.Build();
            var error = await Check.ThrowsAsync<Exception>(() => host.StartAsync());
            Check.That(error.Message.Contains(told, StringComparison.Ordinal), error.Message);
        }
    }

    [Fact("a host binds its named nodes when it starts, and closes them when it is disposed", Parallel = true)]
    public static async Task Lifetime()
    {
        var builder = new HostApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Services.AddUtpNode("a", options => options.LocalEndPoint = WebPair.Loopback);
        var host = builder.Build();
        await host.StartAsync();
        var node = host.Services.GetRequiredKeyedService<UtpNode>("a");
        Check.That(!node.Completion.IsCompleted);
        await host.StopAsync();
        await ((IAsyncDisposable)host).DisposeAsync();
        Check.That(node.Completion.IsCompletedSuccessfully);
    }

    [Fact("the nodes of a host log by its loggers", Parallel = true)]
    public static async Task Logs()
    {
        using var log = new Category("UtpPunch.Net");
        var builder = new HostApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Logging.SetMinimumLevel(LogLevel.Debug).AddProvider(log);
        builder.Services.AddUtpNode("a", options => options.LocalEndPoint = WebPair.Loopback);
        using var host = builder.Build();
        await host.StartAsync();
        Check.Equal($"Node {host.Services.GetRequiredKeyedService<UtpNode>("a").LocalEndPoint} is bound", log.Messages.Single());
    }

    [Fact("the nodes of a host belong to its meters, unless their options name others", Parallel = true)]
    public static async Task Meters()
    {
        var builder = new HostApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        using var other = new ServiceCollection().AddMetrics().BuildServiceProvider();
        var otherFactory = other.GetRequiredService<IMeterFactory>();
        builder.Services.AddUtpNode("a", options => options.LocalEndPoint = WebPair.Loopback);
        builder.Services.AddUtpNode("b", options => (options.LocalEndPoint, options.MeterFactory) = (WebPair.Loopback, otherFactory));
        using var host = builder.Build();
        await host.StartAsync();
        foreach (var (factory, role) in new[] { (host.Services.GetRequiredService<IMeterFactory>(), "dialer"), (otherFactory, "listener") })
        {
            var seen = new List<string>();
            using var listener = new MeterListener
            {
                InstrumentPublished = (instrument, self) =>
                {
                    if (instrument.Name == "utp.connections.active" && instrument.Meter.Scope == factory)
                    {
                        self.EnableMeasurementEvents(instrument);
                    }
                },
            };
            listener.SetMeasurementEventCallback<long>((_, value, tags, _) => seen.Add($"{tags[0].Value} {value}"));
            listener.Start();
            var b = host.Services.GetRequiredKeyedService<UtpNode>("b");
            await using var listening = b.Listen();
            using var stream = await host.Services.GetRequiredKeyedService<UtpNode>("a").ConnectAsync(b.LocalEndPoint);
            listener.RecordObservableInstruments();
            Check.Equal(role == "dialer" ? "listener 0, dialer 1" : "listener 1, dialer 0", string.Join(", ", seen));
            stream.Abort();
            await Waiting.UntilAsync(() => b.GetStatistics().IncomingConnections == 0, "the stream has ended");
        }
    }

    [Fact("a node is healthy while it is open; the check of one that was closed, or has failed, fails and says why", Parallel = true)]
    public static async Task Health()
    {
        var collection = new ServiceCollection();
        collection.AddUtpPunch(options => options.LocalEndPoint = WebPair.Loopback);
        collection.AddUtpNode("a", options => options.LocalEndPoint = WebPair.Loopback);
        collection.AddHealthChecks().AddUtpNode().AddUtpNode("a", failureStatus: HealthStatus.Degraded);
        await using var services = collection.BuildServiceProvider();
        var checks = services.GetRequiredService<HealthCheckService>();
        var report = await checks.CheckHealthAsync();
        Check.Equal(HealthStatus.Healthy, report.Status);
        Check.Equal(0, (int)report.Entries["utp:a"].Data["incoming"]);
        await services.GetRequiredKeyedService<UtpNode>("a").CloseAsync(TimeSpan.Zero);
        report = await checks.CheckHealthAsync();
        Check.Equal(HealthStatus.Degraded, report.Status);
        Check.Equal("The node was closed.", report.Entries["utp:a"].Description);
        services.GetRequiredService<UtpNode>().Socket!.Dispose();
        await Waiting.UntilAsync(() => services.GetRequiredService<UtpNode>().Completion.IsCompleted, "the node notices");
        report = await checks.CheckHealthAsync();
        Check.Equal(HealthStatus.Unhealthy, report.Entries["utp"].Status);
        Check.That(report.Entries["utp"].Exception is UtpException { Error: UtpError.InternalError });
    }

    private static ServiceProvider Provider(params KeyValuePair<string, string?>[] settings)
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection(settings).Build();
        return new ServiceCollection().AddUtpPunch(configuration.GetSection("Utp")).BuildServiceProvider();
    }

    /// <summary>Keeps the messages of one category.</summary>
    private sealed class Category(string name) : ILoggerProvider, ILogger
    {
        public ConcurrentQueue<string> Messages { get; } = new();

        public ILogger CreateLogger(string categoryName) => categoryName == name ? this : NullLogger.Instance;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Messages.Enqueue(formatter(state, exception));

        public void Dispose()
        {
        }
    }
}
