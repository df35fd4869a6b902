Console.Error.WriteLine("aisle: not yet");
return 2;
