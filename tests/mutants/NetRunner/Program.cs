// `NetRunner CLAIM...` runs the tests with these claims, one after the other, until one fails. For each it writes a line of fields
// between tabs: `passed`, `killed` or `absent` (the test belongs to the other transport), the seconds, the claim, and what was seen.
// The rewritten sources read from the environment which mutant this process is, if any.

using System.Diagnostics;
using System.Reflection;
using Expecto;
using UtpPunch.Tests;

TransportUnderTest.Choose();
var facts =
    from type in Assembly.Load("UtpPunch.Net.Tests").GetTypes()
    from method in type.GetMethods(BindingFlags.DeclaredOnly | BindingFlags.Public | BindingFlags.Static)
    let fact = method.GetCustomAttribute<FactAttribute>()
    where fact is not null
    select (fact.Claim, Method: method, IsHere: TransportUnderTest.Concerns(fact.Over));
var tests = facts.ToLookup(test => test.Claim); // Both transports may have a test with one claim.
foreach (var claim in args)
{
    var here = tests[claim].Where(test => test.IsHere).ToList();
    var started = Stopwatch.GetTimestamp();
    string? why = tests.Contains(claim) ? null : "There is no such test.";
    foreach (var test in here)
    {
        why ??= await FailureOf(test.Method);
    }

    var word = why is not null ? "killed" : here.Count == 0 ? "absent" : "passed";
    Console.WriteLine(FormattableString.Invariant($"{word}\t{Stopwatch.GetElapsedTime(started).TotalSeconds:F1}\t{claim}\t{why}"));
    if (why is not null)
    {
        break;
    }
}

// The threads of a test that hangs must not keep the process alive.
Environment.Exit(0);

static async Task<string?> FailureOf(MethodInfo method)
{
    try
    {
        await Task.Run(() => method.Invoke(null, BindingFlags.DoNotWrapExceptions, null, null, null) switch
        {
            Task task => task,
            ValueTask task => task.AsTask(),
            _ => Task.CompletedTask,
        });
        return null;
    }
    catch (IgnoreException)
    {
        return null; // What cannot run here says nothing.
    }
    catch (Exception error)
    {
        return error.Message.ReplaceLineEndings(" ").Replace('\t', ' ');
    }
}
