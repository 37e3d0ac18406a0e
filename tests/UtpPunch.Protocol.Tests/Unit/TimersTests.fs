/// A stream's deadline is the least of its timers: a timer that is missing in that minimum would never fire.
module UtpPunch.Protocol.Tests.TimersTests

open System.Reflection
open Expecto
open UtpPunch.Protocol

let private any =
    BindingFlags.Instance ||| BindingFlags.Static ||| BindingFlags.Public ||| BindingFlags.NonPublic

let private found name = typeof<Node>.Assembly.GetType($"UtpPunch.Protocol.{name}", throwOnError = true)

let tests =
    testList
        "timers"
        [ test "each timer of a stream counts" {
              let fields = (found "Timers").GetFields any
              let earliest = (found "TimersModule").GetMethod("earliest", any)
              Expect.isGreaterThan fields.Length 5 "timers"

              for field in fields do
                  let timers = System.Activator.CreateInstance(found "Timers")

                  for other in fields do
                      other.SetValue(timers, (if other = field then 5L<us> else Time.never))

                  Expect.equal (earliest.Invoke(null, [| timers |])) (box 5L<us>) field.Name
          } ]
