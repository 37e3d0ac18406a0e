// Attacks over real sockets: `attacks --help` lists the options. Exit codes: 0 all bounds are kept, 1 some are not, 2 the command line is
// invalid or the machine lacks something.

using UtpPunch.Attacks;
using UtpPunch.Attacks.Hostile;
using UtpPunch.Attacks.Hosts;
using UtpPunch.Attacks.Soak;

try
{
    switch (args)
    {
        case ["host"]:
            return await HostProgram.RunAsync();
        case ["--help"]:
            Console.WriteLine(Arguments.Usage);
            return 0;
        case ["soak", "--help"]:
            Console.WriteLine(SoakArguments.Usage);
            return 0;
        case ["soak", .. var options]:
            return await SoakRun.RunAsync(SoakArguments.Parse(options));
        case ["hostile"] or ["hostile", "--help"]:
            Console.WriteLine(HostileProgram.Usage);
            return 0;
        case ["hostile", .. var options]:
            return HostileProgram.Run(options);
        default:
            return await Suite.RunAsync(Arguments.Parse(args));
    }
}
catch (UsageException error)
{
    Console.Error.WriteLine(error.Message);
    return 2;
}
