Console.WriteLine("Hello!");
