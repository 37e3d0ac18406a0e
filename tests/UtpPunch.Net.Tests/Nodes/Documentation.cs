using System.Reflection;
using System.Xml.Linq;

namespace UtpPunch.Tests;

/// <summary>Every public method is documented: what each parameter means, and what it returns.</summary>
public static class Documentation
{
    [Fact("every public method documents each of its parameters and its result", Parallel = true)]
    public static void Complete()
    {
        var members = XDocument.Load(Path.Combine(AppContext.BaseDirectory, "UtpPunch.Net.xml")).Descendants("member")
            .ToDictionary(member => member.Attribute("name")!.Value);
        const BindingFlags Own = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
        var wrong = new List<string>();
        var count = 0;
        foreach (var type in typeof(UtpNode).Assembly.GetExportedTypes().Where(type => !type.IsSubclassOf(typeof(Delegate))))
        {
            foreach (var method in type.GetMethods(Own).Where(IsVisible))
            {
                count++;
                var name = $"{type.Name}.{method.Name}";
                if (!members.TryGetValue(IdOf(method), out var found))
                {
                    wrong.Add($"{name} has no documentation ({IdOf(method)})");
                    continue;
                }

                var isInherited = found.Element("inheritdoc") is not null;
                var told = found.Elements("param").Select(param => param.Attribute("name")!.Value).ToHashSet(StringComparer.Ordinal);
                wrong.AddRange(method.GetParameters().Where(it => !isInherited && !told.Contains(it.Name!)).Select(it => $"{name}: parameter {it.Name}"));
                if (!isInherited && Returns(method.ReturnType) && found.Element("returns") is null)
                {
                    wrong.Add($"{name}: what it returns");
                }
            }
        }

        Check.Equal("", string.Join('\n', wrong));
        Check.That(count > 60, $"there are {count} methods");
    }

    private static bool IsVisible(MethodInfo method) =>
        (method.IsPublic || method.IsFamily) && !method.IsSpecialName && method.GetCustomAttribute<System.Runtime.CompilerServices.CompilerGeneratedAttribute>() is null;

    private static bool Returns(Type type) => type != typeof(void) && type != typeof(Task) && type != typeof(ValueTask);

    // The names of the C# specification, annex D.4.2.
    private static string IdOf(MethodInfo method)
    {
        var parameters = method.GetParameters();
        var list = parameters.Length == 0 ? "" : $"({string.Join(',', parameters.Select(it => NameOf(it.ParameterType)))})";
        return $"M:{method.DeclaringType!.FullName}.{method.Name}{list}";
    }

    private static string NameOf(Type type) =>
        type.IsByRef ? NameOf(type.GetElementType()!) + "@"
        : type.IsArray ? NameOf(type.GetElementType()!) + "[]"
        : type.IsGenericType ? $"{type.Namespace}.{type.Name[..type.Name.IndexOf('`')]}{{{string.Join(',', type.GetGenericArguments().Select(NameOf))}}}"
        : type.FullName!;
}
