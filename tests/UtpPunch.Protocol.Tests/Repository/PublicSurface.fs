/// The public surface of the core's assembly, one line for each member, as src/UtpPunch.Protocol.fs/PublicSurface.txt lists it. After an
/// intended change, run this test with UPDATE_PUBLIC_SURFACE=1 in the environment, and review the file's diff.
module UtpPunch.Protocol.Tests.PublicSurface

open System
open System.IO
open System.Reflection
open System.Runtime.CompilerServices
open Expecto
open UtpPunch.Protocol

let private file = Path.Combine(Sources.root.Value, "src", "UtpPunch.Protocol.fs", "PublicSurface.txt")

let private declared =
    BindingFlags.Public ||| BindingFlags.Static ||| BindingFlags.Instance ||| BindingFlags.DeclaredOnly

/// A type name without well-known namespaces.
let rec private nameOf (it: Type) : string =
    if it.IsByRef then
        nameOf (it.GetElementType()) + "&"
    elif it.IsArray then
        nameOf (it.GetElementType()) + "[]"
    elif it.IsGenericParameter then
        it.Name
    else
        let name = (if it.IsNested then nameOf it.DeclaringType + "." else "") + it.Name.Split('`')[0]

        if it.IsGenericType && not (it.Name.Contains '`') then
            name
        elif it.IsGenericType then
            let arguments = it.GetGenericArguments() |> Array.map nameOf
            name + "<" + String.Join(", ", arguments) + ">"
        else
            name

let private kindOf (it: Type) =
    if it.IsEnum then "enum"
    elif it.IsValueType then "struct"
    elif it.IsInterface then "interface"
    elif it.IsAbstract && it.IsSealed then "module"
    else "class"

let private parametersOf (method: MethodBase) =
    let one (it: ParameterInfo) = nameOf it.ParameterType + " " + it.Name
    "(" + String.Join(", ", method.GetParameters() |> Array.map one) + ")"

/// Leaves out what the compiler adds to every record and union: equality, and a test for each case.
let private isGenerated (it: MemberInfo) =
    it.IsDefined(typeof<CompilerGeneratedAttribute>, false)
    || (it :? PropertyInfo
        && (it :?> PropertyInfo).GetMethod.IsDefined(typeof<CompilerGeneratedAttribute>, false)
        && it.Name.StartsWith "Is")
    || List.contains it.Name [ "Equals"; "GetHashCode"; "ToString"; "CompareTo" ]

let private lineOf (owner: Type) (it: MemberInfo) =
    let name = nameOf owner + "." + it.Name

    match it with
    | :? ConstructorInfo as it -> [ nameOf owner + parametersOf it ]
    | :? FieldInfo as it when it.IsLiteral ->
        [ name + ": " + nameOf it.FieldType + " = " + string (it.GetRawConstantValue()) ]
    | :? FieldInfo as it -> [ name + ": " + nameOf it.FieldType ]
    | :? PropertyInfo as it ->
        let index = it.GetIndexParameters() |> Array.map (fun it -> nameOf it.ParameterType)
        let shown = if index.Length = 0 then name else name + "[" + String.Join(", ", index) + "]"
        [ shown + ": " + nameOf it.PropertyType ]
    | :? MethodInfo as it when not it.IsSpecialName || it.Name.StartsWith "op_" ->
        [ name + parametersOf it + ": " + nameOf it.ReturnType ]
    | _ -> []

let private surface (assembly: Assembly) =
    [ for it in assembly.GetExportedTypes() do
          kindOf it + " " + nameOf it

          for memb in it.GetMembers declared do
              if not (isGenerated memb) then yield! lineOf it memb ]
    |> List.distinct
    |> List.sortWith (fun a b -> String.CompareOrdinal(a, b))

let tests =
    test "the core's public surface is what PublicSurface.txt lists" {
        let now = surface typeof<Node>.Assembly

        if Environment.GetEnvironmentVariable "UPDATE_PUBLIC_SURFACE" = "1" then
            File.WriteAllLines(file, now)

        let listed = File.ReadAllLines file |> List.ofArray
        let added = List.except listed now
        let removed = List.except now listed
        let text (sign: string) lines = lines |> List.map (fun line -> sign + line)

        if not (added.IsEmpty && removed.IsEmpty) then
            failtest ("PublicSurface.txt is not up to date:\n" + String.Join("\n", text "+ " added @ text "- " removed))
    }
