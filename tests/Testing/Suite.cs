// The runner of the C# test projects. A test is a public static method (void, Task or ValueTask) of any class, marked with a claim:
// [Fact("a lost SYN is retransmitted after one second")]. A test project's Main calls `Suite.Run`, which finds the marked methods and hands
// them to Expecto, so that every test executable has the same arguments and the same summary line.

using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using Expecto;
using Expecto.CSharp;

namespace UtpPunch.Tests;

/// <summary>Marks a test; the text is what it claims.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class FactAttribute(string claim) : Attribute
{
    public string Claim { get; } = claim;

    /// <summary>Seconds after which a test that has not finished fails.</summary>
    public double Timeout { get; set; } = 60;

    /// <summary>The only transport for which the test exists; null for both. See <see cref="TransportUnderTest"/>.</summary>
    public string? Over { get; set; }

    /// <summary>Whether the test may run beside others that are marked so. Only tests that wait and measure no time may.</summary>
    public bool Parallel { get; set; }
}

/// <summary>
/// Marks a test that takes one argument and runs once with each value of a static property. In the claim, <c>{0}</c> is the value.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class ForEachAttribute(Type type, string property) : Attribute
{
    public Type Type { get; } = type;
    public string Property { get; } = property;

    internal IEnumerable<object> Values =>
        (IEnumerable<object>)Type.GetProperty(Property, BindingFlags.Static | BindingFlags.Public)!.GetValue(null)!;
}

/// <summary>Marks tests, or a class of tests, that carry streams over sockets; <c>--streams</c> runs these only.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Method)]
public sealed class CarriesStreamsAttribute : Attribute;

/// <summary>Ends a test that cannot run on this machine: it is reported as skipped, with the reason.</summary>
public static class Skip
{
    public static void Unless(bool condition, string reason)
    {
        if (!condition)
        {
            throw new IgnoreException(reason);
        }
    }
}

/// <summary>The checks that most tests need; Expecto's <c>Expect</c> has more.</summary>
public static class Check
{
    public static void That(bool condition, [CallerArgumentExpression(nameof(condition))] string claim = "")
    {
        if (!condition)
        {
            throw new AssertException($"False: {claim}");
        }
    }

    public static void Equal<T>(T expected, T actual, [CallerArgumentExpression(nameof(actual))] string what = "")
    {
        if (!EqualityComparer<T>.Default.Equals(expected, actual))
        {
            throw new AssertException($"{what}\n  should be {Shown(expected)}\n  but is    {Shown(actual)}");
        }
    }

    public static void Equal(ReadOnlySpan<byte> expected, ReadOnlySpan<byte> actual, string what = "the bytes")
    {
        var same = expected.CommonPrefixLength(actual);
        if (same != expected.Length || same != actual.Length)
        {
            var there = actual[same..Math.Min(actual.Length, same + 16)];
            var wanted = expected[same..Math.Min(expected.Length, same + 16)];
            throw new AssertException(
                $"{what} differ from offset {same} on\n"
                + $"  should be {Convert.ToHexString(wanted)} ({expected.Length} bytes in all)\n"
                + $"  but are   {Convert.ToHexString(there)} ({actual.Length} bytes in all)");
        }
    }

    public static TException Throws<TException>(Action action)
        where TException : Exception =>
        ThrowsAsync<TException>(() =>
        {
            action();
            return Task.CompletedTask;
        }).GetAwaiter().GetResult();

    public static async Task<TException> ThrowsAsync<TException>(Func<Task> action)
        where TException : Exception
    {
        try
        {
            await action().ConfigureAwait(false);
        }
        catch (TException expected)
        {
            return expected;
        }

        throw new AssertException($"Should have thrown {typeof(TException).Name}, but did not throw.");
    }

    private static string Shown<T>(T value) => value is null ? "null" : value is string text ? $"\"{text}\"" : $"{value}";
}

public static class Suite
{
    private const string Streams = "--streams";
    private const double SlowSeconds = 3;

    // More than there are cores: tests that are marked as parallel wait most of the time.
    private const string ParallelTests = "8";

    private static readonly ConcurrentBag<(double Seconds, string Claim)> s_slow = [];

    /// <summary>Runs the tests of an assembly, and lists the slow ones; the exit code.</summary>
    public static int Run(Assembly assembly, string[] args)
    {
        TransportUnderTest.Choose();
        var tests = Of(assembly, args.Contains(Streams));
        var code = Runner.RunTestsWithCLIArgs([], ["--parallel-workers", ParallelTests, .. args.Where(arg => arg != Streams)], tests);
        foreach (var (seconds, claim) in s_slow.OrderDescending())
        {
            Console.WriteLine($"{seconds,5:F1} s  {claim}");
        }

        Console.Out.Flush();
        Environment.Exit(code); // The threads of a test that hangs must not keep the process alive.
        return code;
    }

    /// <summary>All marked methods of an assembly: a list for each class, in the order of their names.</summary>
    /// <param name="assembly">The assembly to search.</param>
    /// <param name="onlyStreams">Whether to take only those marked <see cref="CarriesStreamsAttribute"/>.</param>
    public static Test Of(Assembly assembly, bool onlyStreams = false)
    {
        var lists =
            from type in assembly.GetTypes()
            let tests = TestsOf(type, onlyStreams && !type.IsDefined(typeof(CarriesStreamsAttribute))).ToList()
            where tests.Count > 0
            orderby type.Name
            select Runner.TestList(type.Name, tests);
        return Runner.TestList(assembly.GetName().Name!, lists.ToList());
    }

    private static IEnumerable<Test> TestsOf(Type type, bool onlyMarked)
    {
        foreach (var method in type.GetMethods(BindingFlags.DeclaredOnly | BindingFlags.Public | BindingFlags.NonPublic
                                               | BindingFlags.Static | BindingFlags.Instance))
        {
            if (method.GetCustomAttribute<FactAttribute>() is not { } fact || !TransportUnderTest.Concerns(fact.Over)
                || (onlyMarked && !method.IsDefined(typeof(CarriesStreamsAttribute))))
            {
                continue;
            }

            var each = method.GetCustomAttribute<ForEachAttribute>();
            if (!method.IsPublic || !method.IsStatic || method.GetParameters().Length != (each is null ? 0 : 1))
            {
                throw new InvalidOperationException(
                    $"{type}.{method.Name} is marked [Fact]: it must be public and static, and take nothing, or with [ForEach] one argument.");
            }

            foreach (var arguments in each is null ? [[]] : each.Values.Select(value => new[] { value }))
            {
                var claim = each is null ? fact.Claim : string.Format(CultureInfo.InvariantCulture, fact.Claim, arguments);
                var test = Runner.TestCase(claim, () => WithinItsTime(fact, claim, method, arguments));
                yield return fact.Parallel ? test : Runner.TestSequenced(test);
            }
        }
    }

    private static async Task WithinItsTime(FactAttribute fact, string claim, MethodInfo method, object[] arguments)
    {
        var limit = TimeSpan.FromSeconds(fact.Timeout);
        var started = Stopwatch.GetTimestamp();
        var running = Task.Run(() => Invoke(method, arguments));
        await Task.WhenAny(running, Task.Delay(limit)).ConfigureAwait(false);
        if (!running.IsCompleted)
        {
            throw new AssertException(
                $"Hangs: {method.DeclaringType}.{method.Name} did not finish within {fact.Timeout} s "
                + $"({Stopwatch.GetElapsedTime(started).TotalSeconds:F1} s by now).");
        }

        try
        {
            await running.ConfigureAwait(false);
            if (Stopwatch.GetElapsedTime(started).TotalSeconds is >= SlowSeconds and var seconds)
            {
                s_slow.Add((seconds, $"{method.DeclaringType!.Name}: {claim}"));
            }
        }
        catch (IgnoreException skipped)
        {
            Console.WriteLine($"Skipped: {claim}: {skipped.Message}");
            throw;
        }
    }

    private static Task Invoke(MethodInfo method, object[] arguments) =>
        method.Invoke(null, BindingFlags.DoNotWrapExceptions, null, arguments, null) switch
        {
            null => Task.CompletedTask,
            Task task => task,
            ValueTask task => task.AsTask(),
            var other => throw new InvalidOperationException($"A test returns void, Task or ValueTask, not {other.GetType()}."),
        };
}
