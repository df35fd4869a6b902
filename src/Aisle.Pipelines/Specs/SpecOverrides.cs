namespace Aisle.Pipelines;

/// <summary><c>--set path.in.spec=value</c>: changes values of a spec as if they had been written there.</summary>
internal static class SpecOverrides
{
    private const int MaxDepth = 16;
    private static readonly string[] Named = ["inputs", "steps", "outputs"];

    public static void Apply(SpecMap root, IReadOnlyList<string> sets, SpecFaults faults)
    {
        foreach (var set in sets)
        {
            var equals = set.IndexOf('=');
            var path = equals < 0 ? set : set[..equals];
            var place = new Place(0, 0, path);
            if (equals <= 0) faults.Add(place, "write it as path.in.spec=value, for example steps.model.with.steps=500");
            else if (path.Split('.') is var keys && (keys.Length > MaxDepth || keys.Any(key => key.Length == 0))) faults.Add(place, "a path is names joined by dots, such as steps.model.with.steps");
            else Apply(root, keys, set[(equals + 1)..], place, faults);
        }
    }

    private static void Apply(SpecMap root, string[] keys, string value, Place place, SpecFaults faults)
    {
        var map = root;
        for (var depth = 0; depth < keys.Length - 1; depth++)
        {
            var next = map.Find(keys[depth]);
            if (next is SpecMap inner)
            {
                map = inner;
                // Inputs, steps and outputs are changed here, never made: a new one would be a slip of the pen.
                if (depth == 0 && Named.Contains(keys[0]) && inner.Find(keys[1]) is null)
                {
                    faults.Add(place, $"`{keys[0]}` has no `{keys[1]}`{NearestName.Hint(keys[1], inner.Entries.Select(entry => entry.Key))}");
                    return;
                }
                continue;
            }
            if (next is not null)
            {
                faults.Add(place, $"`{string.Join('.', keys[..(depth + 1)])}` is {next.Kind}, so nothing lies below it");
                return;
            }
            if (depth == 0 && keys[0] != "publish")
            {
                faults.Add(place, $"the spec has no `{keys[0]}`{NearestName.Hint(keys[0], root.Entries.Select(entry => entry.Key))}");
                return;
            }
            var made = new SpecMap(place);
            map.Set(keys[depth], made);
            map = made;
        }
        map.Set(keys[^1], new SpecText(value, place));
    }
}
