using System.Diagnostics;

namespace UtpPunch.Interop;

/// <summary>A program of the system that a test runs to its end.</summary>
internal static class OtherTool
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(50);

    /// <summary>Where one of these programs is; null when none is on the PATH.</summary>
    public static string? Find(params string[] names) =>
        (from folder in (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
         from name in names
         let path = Path.Combine(folder, OperatingSystem.IsWindows() ? $"{name}.exe" : name)
         where File.Exists(path)
         select path).FirstOrDefault();

    /// <summary>Its standard output and standard error. It must succeed.</summary>
    public static async Task<(string Output, string Errors)> RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        try
        {
            await process.WaitForExitAsync().WaitAsync(Timeout);
            var said = (await output.WaitAsync(Timeout), await errors.WaitAsync(Timeout));
            return process.ExitCode == 0 ? said : throw new InvalidOperationException($"{program} ended with {process.ExitCode}: {said}");
        }
        catch (TimeoutException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
    }
}
