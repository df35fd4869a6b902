using Aisle.Examples.MatrixFactorisation;
using Aisle.Training;
using Aisle.Training.Data;
using Aisle.Training.Numerics;
using Aisle.Training.Programs;

var small = args.Contains("--small");
var steps = small ? 300 : args.Contains("--long") ? 60_000 : 600;
var recipe = new TrainingRecipe
{
    Steps = steps,
    Slices = 16,
    SamplesPerSlice = 64,
    LearningRate = 0.02,
    Optimizer = new AdamWOptions { WeightDecay = 0.02 },
    ClipNorm = 0,
    CheckpointEvery = small ? 30 : 50,
    Seed = 1,
};

return await TrainingProgram.RunAsync([.. args.Except(["--small", "--long"])], recipe, recipe => new Factorisation(recipe, new Interactions(users: 2000, items: 800)));

/// <summary>A user likes an item by the product of their two rows, and the item's own pull. Each sample is one interaction against four items drawn by chance.</summary>
internal sealed class Factorisation : ManagedTraining
{
    private const int Width = 16, Negatives = 4;
    private readonly Interactions _data;
    private readonly ManagedParameter _users, _items, _pull;

    public Factorisation(TrainingRecipe recipe, Interactions data) : base(recipe, data.Count)
    {
        _data = data;
        _users = Parameter("users", data.Users, Width, deviation: 0.1);
        _items = Parameter("items", data.Items, Width, deviation: 0.1);
        _pull = Parameter("pull", data.Items, 1, deviation: 0, decays: false);
    }

    protected override double Learn(long sample, Chance chance)
    {
        var (user, liked) = _data[sample];
        var loss = LearnOne(user, liked, answer: true);
        for (var i = 0; i < Negatives; i++) loss += LearnOne(user, chance.Below(_data.Items), answer: false);
        return loss;
    }

    protected override IReadOnlyDictionary<string, double> Evaluate() => new Dictionary<string, double>
    {
        ["hit rate at 10"] = _data.HitRate(Score),
        ["hit rate at 10 by popularity"] = _data.HitRate((_, item) => _data.Popularity(item)),
    };

    private double Score(int user, int item)
    {
        double score = _pull.Row(item)[0];
        ReadOnlySpan<float> mine = _users.Row(user), theirs = _items.Row(item);
        for (var i = 0; i < Width; i++) score += mine[i] * theirs[i];
        return score;
    }

    private double LearnOne(int user, int item, bool answer)
    {
        var (loss, slope) = LogisticLoss.Of(Score(user, item), answer);
        ReadOnlySpan<float> mine = _users.Row(user), theirs = _items.Row(item);
        Span<float> myGradient = _users.Gradient(user), theirGradient = _items.Gradient(item);
        for (var i = 0; i < Width; i++)
        {
            myGradient[i] += (float)slope * theirs[i];
            theirGradient[i] += (float)slope * mine[i];
        }
        _pull.Gradient(item)[0] += (float)slope;
        return loss;
    }
}
