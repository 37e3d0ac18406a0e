using System.Globalization;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using UtpPunch;
using UtpPunch.AspNetCore;

// WebService serve PORT: an HTTP/2 service at a UDP port. WebService get HOST:PORT: a client of it.
if (args is ["get", var address])
{
    await using var own = await UtpNode.BindAsync();
    using var client = new HttpClient(new SocketsHttpHandler().UseUtp(own))
    {
        DefaultRequestVersion = HttpVersion.Version20,
        DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
    };
    Console.WriteLine(await client.GetStringAsync($"http://{address}/"));
    return;
}

var port = int.Parse(args[1], CultureInfo.InvariantCulture);
var builder = WebApplication.CreateBuilder();
builder.Logging.ClearProviders();
builder.Services.AddUtpNode("web", options => options.LocalEndPoint = new IPEndPoint(IPAddress.Any, port));
builder.Services.AddHealthChecks().AddUtpNode("web");
builder.WebHost.ConfigureKestrel(options => options.ListenUtp("web", listen => listen.Protocols = HttpProtocols.Http2));

var app = builder.Build();
app.MapHealthChecks("/healthz");
app.MapGet("/", (HttpContext context) =>
{
    var stream = context.Features.GetRequiredFeature<IUtpConnectionFeature>().Stream;
    return $"hello over {context.Request.Protocol} and uTP, connection {stream.ConnectionId}";
});
await app.StartAsync();
Console.WriteLine($"listening on {app.Services.GetRequiredKeyedService<UtpNode>("web").LocalEndPoint}");
await app.WaitForShutdownAsync();
await app.DisposeAsync();
