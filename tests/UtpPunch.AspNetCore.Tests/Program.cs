return UtpPunch.Tests.Suite.Run(System.Reflection.Assembly.GetExecutingAssembly(), args);
