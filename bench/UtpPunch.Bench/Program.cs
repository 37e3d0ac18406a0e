Console.WriteLine("The benchmarks are not written yet.");
