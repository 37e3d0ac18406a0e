using System.CommandLine;
using Spectre.Console;

var demo = new Command("demo", "Placeholder.");
demo.SetAction(_ => AnsiConsole.WriteLine("The demo is not written yet."));
return new RootCommand("utp") { demo }.Parse(args).Invoke();
