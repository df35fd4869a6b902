using Aisle.Training.Numerics;

namespace Aisle.Training;

/// <summary>
/// An optimiser's part of a recipe: each kind reads its own constants, so that one which means nothing to it is refused like a misspelt one. But a pipeline's spec writes
/// AdamW's out for every kind: where another kind has no use for one, that value may stand there, and is dropped.
/// </summary>
internal static class OptimizerParameters
{
    private static readonly AdamWOptions s_adamW = new();

    private enum Kind
    {
        AdamW,
        Adam,
        Sgd,
        Lion,
    }

    public static OptimizerOptions Read(ParameterReader reader)
    {
        var kind = reader.Choice("optimizer.kind", ("adamw", Kind.AdamW), ("adam", Kind.Adam), ("sgd", Kind.Sgd), ("lion", Kind.Lion));
        if (kind == Kind.Sgd)
        {
            var sgd = new SgdOptions
            {
                Momentum = reader.Number("optimizer.momentum", 0.9, 0, 0.9999999),
                Nesterov = reader.Choice("optimizer.nesterov", ("false", false), ("true", true)),
                WeightDecay = WeightDecay(0),
            };
            reader.Unused("optimizer.beta1", s_adamW.Beta1);
            reader.Unused("optimizer.beta2", s_adamW.Beta2);
            reader.Unused("optimizer.epsilon", s_adamW.Epsilon);
            if (sgd is { Nesterov: true, Momentum: 0 }) reader.Fault("optimizer.nesterov is true, which needs an optimizer.momentum above 0");
            return sgd;
        }
        if (kind == Kind.Lion) reader.Unused("optimizer.epsilon", s_adamW.Epsilon);
        var beta1 = reader.Number("optimizer.beta1", 0.9, 0, 0.9999999);
        return kind switch
        {
            Kind.Adam => new AdamOptions { Beta1 = beta1, Beta2 = Beta2(0.999), Epsilon = Epsilon(), WeightDecay = WeightDecay(0) },
            Kind.Lion => new LionOptions { Beta1 = beta1, Beta2 = Beta2(0.99), WeightDecay = WeightDecay(0.1) },
            _ => new AdamWOptions { Beta1 = beta1, Beta2 = Beta2(0.95), Epsilon = Epsilon(), WeightDecay = WeightDecay(0.1) },
        };

        double Beta2(double otherwise) => reader.Number("optimizer.beta2", otherwise, 0, 0.9999999);

        double Epsilon() => reader.Number("optimizer.epsilon", 1e-8, 1e-30, 1);

        double WeightDecay(double otherwise) => reader.Number("optimizer.weightDecay", otherwise, 0, 10);
    }

    public static void Write(OptimizerOptions optimizer, IDictionary<string, string> parameters)
    {
        // AdamW came first and had no kind.
        if (optimizer is not AdamWOptions) parameters.Add("optimizer.kind", optimizer.Kind);
        switch (optimizer)
        {
            case AdamWOptions adamW:
                Add(("beta1", adamW.Beta1), ("beta2", adamW.Beta2), ("epsilon", adamW.Epsilon), ("weightDecay", adamW.WeightDecay));
                break;
            case AdamOptions adam:
                Add(("beta1", adam.Beta1), ("beta2", adam.Beta2), ("epsilon", adam.Epsilon), ("weightDecay", adam.WeightDecay));
                break;
            case LionOptions lion:
                Add(("beta1", lion.Beta1), ("beta2", lion.Beta2), ("weightDecay", lion.WeightDecay));
                break;
            case SgdOptions sgd:
                Add(("momentum", sgd.Momentum), ("weightDecay", sgd.WeightDecay));
                parameters.Add("optimizer.nesterov", sgd.Nesterov ? "true" : "false");
                break;
        }

        void Add(params ReadOnlySpan<(string Name, double Value)> constants)
        {
            foreach (var (name, value) in constants) parameters.Add($"optimizer.{name}", RecipeText.Of(value));
        }
    }
}
