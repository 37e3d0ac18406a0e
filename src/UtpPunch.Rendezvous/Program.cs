using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;
using UtpPunch.Rendezvous;
using UtpPunch.Rendezvous.Dashboard;

const string Usage = """
    utp-rendezvous [--config FILE] [--SETTING VALUE]...

      --config FILE   a JSON file with the settings; default: rendezvous.json beside the program
      --SETTING       one setting, such as --Admin 0.0.0.0:9100 or --Listen:0 0.0.0.0:42000

    A variable UTP_RENDEZVOUS_SETTING of the environment goes before the file, the command line before both. docs/rendezvous.md has the settings.
    """;

if (args.Any(arg => arg is "--help" or "-h" or "-?"))
{
    Console.WriteLine(Usage);
    return 0;
}

try
{
    var (settings, configuration) = Read(args);
    await using var app = Build(settings, configuration);
    await app.RunAsync();
    return Environment.ExitCode;
}
catch (Exception error) when (error is SettingsException or SocketException or IOException or InvalidDataException or FormatException)
{
    Console.Error.WriteLine($"utp-rendezvous: {error.Message}");
    return error is SettingsException or FormatException ? 2 : 1;
}

static (Settings Settings, IConfigurationRoot Configuration) Read(string[] args)
{
    var line = new ConfigurationBuilder().AddCommandLine(args).Build();
    var file = line["config"];
    var configuration = new ConfigurationBuilder()
        .AddJsonFile(Path.GetFullPath(file ?? Path.Combine(AppContext.BaseDirectory, "rendezvous.json")), optional: file is null)
        .AddEnvironmentVariables("UTP_RENDEZVOUS_")
        .AddInMemoryCollection(line.AsEnumerable().Where(entry => entry.Value is not null && !IsConfig(entry.Key)))
        .Build();
    return (Settings.Read(configuration), configuration);
}

static bool IsConfig(string key) => string.Equals(key, "config", StringComparison.OrdinalIgnoreCase);

static WebApplication Build(Settings settings, IConfigurationRoot configuration)
{
    var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = "utp-rendezvous" });
    builder.Logging.AddConfiguration(configuration.GetSection("Logging"));
    builder.Logging.AddJsonConsole(options => options.UseUtcTimestamp = true);
    builder.Services.AddSystemd();
    // systemd's own format would not be JSON.
    builder.Services.PostConfigure<ConsoleLoggerOptions>(options => options.FormatterName = ConsoleFormatterNames.Json);
    builder.Services.Configure<JsonConsoleFormatterOptions>(options => options.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ");
    builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = settings.Drain + TimeSpan.FromSeconds(5));
    builder.Services.AddSingleton(settings);
    builder.Services.AddSingleton<Service>();
    builder.Services.AddSingleton<Instruments>();
    builder.Services.AddSingleton<Recorder>();
    builder.Services.AddRoutingCore();
    AdminAccess.Add(builder.Services, settings);
    builder.WebHost.UseKestrelCore().ConfigureKestrel(options =>
    {
        options.AddServerHeader = false;
        options.Listen(settings.Admin);
    });
    builder.Services.AddHostedService(services => services.GetRequiredService<Service>());
    builder.Services.AddHostedService(services => services.GetRequiredService<Recorder>());
    var app = builder.Build();
    app.Services.GetRequiredService<Instruments>();
    var service = app.Services.GetRequiredService<Service>();
    AdminAccess.Use(app, settings);
    app.MapGet("/healthz", () => Answer(service.IsAlive)).AllowAnonymous();
    app.MapGet("/readyz", () => Answer(service.IsReady)).AllowAnonymous();
    Page.Map(app, app.Services.GetRequiredService<Recorder>());
    app.MapGet("/metrics", () => Results.Text(MetricsText.Collect(Instruments.MeterNames), MetricsText.ContentType));
    return app;
}

static IResult Answer(bool isWell) => Results.Text(
    isWell ? "ok\n" : "not ready\n", statusCode: isWell ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable);
