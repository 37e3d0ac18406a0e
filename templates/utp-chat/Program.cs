using System.Text;

// Two programs talk: each line that is typed at one appears at the other.
if (args.Length == 0)
{
    Console.Error.WriteLine($"dotnet run -- HOW, which is one of\n{Peer.Usage}");
    return 2;
}

return await Peer.RunAsync(args, async (tls, stream) =>
{
    using var reader = new StreamReader(tls, Encoding.UTF8);
    var receiving = ReceiveAsync(reader);
    var sending = SendAsync();
    // The end of the peer ends the program; the end of the own input waits for that of the peer.
    await receiving;
    if (sending.IsCompleted)
    {
        await sending;
    }

    async Task SendAsync()
    {
        await using var writer = new StreamWriter(tls, new UTF8Encoding(false), leaveOpen: true) { AutoFlush = true };
        while (await Task.Run(Console.ReadLine) is { } line)
        {
            await writer.WriteLineAsync(line);
        }

        await Peer.EndAsync(tls, stream);
    }
});

static async Task ReceiveAsync(StreamReader reader)
{
    while (await reader.ReadLineAsync() is { } line)
    {
        Console.WriteLine($"> {line}");
    }

    Console.Error.WriteLine("the peer has left");
}
