using System.Collections.Immutable;
using Aisle.Ledger;

namespace Aisle.Pipelines;

/// <summary>Every program a step can use. The one place that says which ports, parameters and defaults they have.</summary>
public static class ProgramCatalogue
{
    /// <summary>The program whose recipe and model are not here but in a program of the user's.</summary>
    public const string TrainProgram = "train-program";

    private static readonly IntegerParameter Seed = new(PipelineStep.Seed, 1, 0, long.MaxValue, "Decides everything that looks like chance.");

    public static ImmutableArray<PipelineProgram> All { get; } =
    [
        new("extract-text", 1, JobKind.Task, "Files of many kinds to documents of text.", ["files"], ["documents", "dead"],
        [
            new IntegerParameter("groupCharacters", 2000, 100, 1_000_000, "Paragraphs of plain text, Markdown and HTML are joined until a document has this many characters."),
        ]),
        new("clean-text", 1, JobKind.Task, "Unicode and white space made uniform; documents that are not language left out.", ["documents"], ["documents", "dead"],
        [
            new IntegerParameter("minCharacters", 40, 1, 1_000_000, "Shorter documents are left out."),
            new IntegerParameter("maxCharacters", 100_000, 1, 4_000_000, "Longer documents are left out."),
            new IntegerParameter("minWords", 6, 0, 1_000_000, "Documents with fewer words are left out."),
            new NumberParameter("minLetterRatio", 0.7, 0, 1, "Least share of letters among characters other than white space; below it are tables, code and encodings."),
        ]),
        new("drop-duplicates", 1, JobKind.Task, "The first of documents with equal text stays.", ["documents"], ["documents", "dead"],
        [
            new IntegerParameter("titleLines", 0, 0, 10, "Leading lines that are not compared: 1 keeps one of many documents that differ in their title alone."),
        ]),
        new("learn-vocabulary", 1, JobKind.Task, "A byte-level BPE tokenizer learnt from documents.", ["documents"], ["vocabulary", "dead"],
        [
            new IntegerParameter("size", 2048, 257, 65_535, "Tokens to learn up to: 256 bytes, end-of-text, and the most frequent pairs."),
        ]),
        new("tokenize", 1, JobKind.Task, "Documents to tokens, split into training and validation by document.", ["documents", "vocabulary"], ["tokens", "dead"],
        [
            new NumberParameter("validation", 0.02, 0, 0.5, "Share of documents held out to measure the model on."),
            Seed,
        ]),
        new("train-language-model", 1, JobKind.Train, "A LLaMA-style language model trained by any number of workers, to the same bits.", ["tokens"], ["model"],
        [
            new IntegerParameter("steps", 300, 1, 10_000_000, "Optimiser updates."),
            new IntegerParameter("slices", 16, 1, 4096, "Parts of one update; more workers than slices do not help. Belongs to the result: workers do not."),
            new IntegerParameter("sequencesPerSlice", 2, 1, 4096, "Sequences in a slice."),
            new IntegerParameter("contextTokens", 128, 8, 65_536, "Tokens in a sequence, and the most that the model sees at once."),
            new IntegerParameter("checkpointEvery", 50, 1, 10_000_000, "Updates between durable checkpoints."),
            Seed,
            new IntegerParameter("model.layers", 4, 1, 256, "Transformer blocks."),
            new IntegerParameter("model.width", 160, 8, 16_384, "Channels between blocks; a multiple of model.heads, and an even number a head."),
            new IntegerParameter("model.heads", 5, 1, 256, "Attention heads."),
            new IntegerParameter("model.feedForward", 432, 8, 65_536, "Channels inside a block's feed-forward part."),
            Precision("What the weights are while the model computes; the optimiser's stay float32. With bf16 the model is stored in half the bytes."),
            Recompute,
            new OptionalParameter(SeparateDocuments),
            .. Optimizer(learningRate: 0.003, weightDecay: 0.1, warmupSteps: 20),
        ]) { NeedsNumericClass = true },
        new("fine-tune-language-model", 1, JobKind.Train, "Adapters (LoRA) of a frozen LLaMA-, Qwen2- or GPT-2-style model, trained by any number of workers to the same bits; merged into a model at the end.",
            ["tokens", "model"], ["model"],
        [
            new IntegerParameter("steps", 200, 1, 10_000_000, "Optimiser updates."),
            new IntegerParameter("slices", 16, 1, 4096, "Parts of one update; more workers than slices do not help. Belongs to the result: workers do not."),
            new IntegerParameter("sequencesPerSlice", 2, 1, 4096, "Sequences in a slice."),
            new IntegerParameter("contextTokens", 128, 8, 65_536, "Tokens in a sequence; at most what the model sees at once."),
            new IntegerParameter("checkpointEvery", 50, 1, 10_000_000, "Updates between durable checkpoints: of the adapters alone."),
            Seed,
            new IntegerParameter("model.rank", 8, 1, 1024, "Inner size of the adapters."),
            new NumberParameter("model.alpha", 16, 1e-3, 65_536, "An adapter counts alpha / rank times."),
            new NamesParameter("model.targets", "Matrices that get an adapter, by the last part of their name: q_proj,v_proj or c_attn. None: all of attention's."),
            Precision("What the frozen weights are kept as; bf16 takes half the memory. Adapters are float32 always."),
            Recompute,
            new OptionalParameter(SeparateDocuments),
            .. Optimizer(learningRate: 0.001, weightDecay: 0, warmupSteps: 10),
        ]) { NeedsNumericClass = true },
        new(TrainProgram, 1, JobKind.Train, "A model that a program of one's own describes, trained by any number of workers, to the same bits.", ["program", "data"], ["model"],
        [
            new TextParameter("run", "dotnet program/train.dll", "The command, its words parted by blanks; it starts where `program` and `data` are folders. It calls TrainingProgram.RunAsync."),
        ]) { NeedsNumericClass = true, Optional = ["data"] },
        new("evaluate-language-model", 1, JobKind.Task, "Bits per byte of a model on held-out text.", ["model", "tokens"], ["evaluation"], [new OptionalParameter(SeparateDocuments)]) { NeedsNumericClass = true },
    ];

    private static ChoiceParameter Precision(string meaning) => new("model.precision", ["float32", "bf16"], meaning);

    private static ChoiceParameter Recompute => new("model.recompute", ["false", "true"], "Compute layers a second time on the way back instead of keeping them: less memory, about a third more work, the same bits.");

    private static ChoiceParameter SeparateDocuments => new("model.separateDocuments", ["false", "true"], "Each document of a packed sequence is read as if it stood alone: nothing is seen of the one before it. Say the same for training and evaluation.");

    private static ImmutableArray<ProgramParameter> Optimizer(double learningRate, double weightDecay, long warmupSteps) =>
    [
        new NumberParameter("optimizer.learningRate", learningRate, 0, 1, "Highest learning rate; reached after the warm-up."),
        new NumberParameter("optimizer.finalLearningRateRatio", 0.1, 0, 1, "Where the learning rate ends, as a part of its highest."),
        new IntegerParameter("optimizer.warmupSteps", warmupSteps, 0, 1_000_000, "Updates over which the learning rate rises from zero."),
        new OptionalParameter(new ChoiceParameter("optimizer.schedule", ["cosine", "linear", "constant"], "The learning rate's way from its highest to its end.")),
        new OptionalParameter(new ChoiceParameter("optimizer.kind", ["adamw", "adam", "sgd", "lion"], "The update rule. With another than AdamW say optimizer.weightDecay too: adam and sgd usually want far less.")),
        new OptionalParameter(new NumberParameter("optimizer.momentum", 0.9, 0, 0.9999999, "SGD's alone: how much of the last step's velocity is kept.")),
        new OptionalParameter(new ChoiceParameter("optimizer.nesterov", ["false", "true"], "SGD's alone: looks ahead along the velocity.")),
        new NumberParameter("optimizer.beta1", 0.9, 0, 0.9999999, "AdamW's memory of gradients."),
        new NumberParameter("optimizer.beta2", 0.95, 0, 0.9999999, "AdamW's memory of squared gradients."),
        new NumberParameter("optimizer.epsilon", 1e-8, 1e-30, 1, "Keeps AdamW from dividing by zero."),
        new NumberParameter("optimizer.weightDecay", weightDecay, 0, 10, "AdamW's decay of matrices."),
        new NumberParameter("optimizer.clipNorm", 1, 0, 1e9, "Gradients longer than this are shortened to it; 0 leaves them."),
        new IntegerParameter("fractionBits", 36, 8, 48, "Bits behind the point when gradients are summed as integers."),
        new OptionalParameter(new ChoiceParameter("codec", ["fixed", "int8"], "How a slice's gradient is rounded before it is summed; int8 sends a third of the bytes.")),
    ];

    private static readonly ImmutableSortedDictionary<string, PipelineProgram> ByName = All.ToImmutableSortedDictionary(program => program.Name, program => program, StringComparer.Ordinal);

    public static IEnumerable<string> Names => ByName.Keys;

    /// <param name="use">A name, with or without its version: <c>tokenize</c>, <c>tokenize@1</c>.</param>
    /// <returns>Null when there is no such program, or another version of it.</returns>
    public static PipelineProgram? Find(string use) => ByName.TryGetValue(use.Split('@')[0], out var program) && (use == program.Name || use == program.Id) ? program : null;
}
