using Aisle.Examples.ImageClassifier;
using Aisle.Training;
using Aisle.Training.Programs;
using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

const int Images = 20_000;
var small = args.Contains("--small");
var recipe = new TrainingRecipe
{
    Steps = small ? 24 : 300,
    Slices = 8,
    SamplesPerSlice = 16,
    LearningRate = 0.004,
    WarmupSteps = 10,
    CheckpointEvery = small ? 6 : 50,
    Seed = 1,
};

return await TrainingProgram.RunAsync([.. args.Except(["--small"])], recipe, recipe => new TorchTraining<ShapeNet>(recipe, Images, () => new ShapeNet(), (net, slice) =>
{
    var (images, labels) = Shapes.Draw([.. slice.Samples]);
    return functional.cross_entropy(net.forward(images), labels, reduction: Reduction.None);
})
{
    Evaluate = net =>
    {
        // The numbers behind the training images: never seen.
        var (images, labels) = Shapes.Draw([.. Enumerable.Range(Images, 1000)]);
        return new Dictionary<string, double> { ["accuracy"] = net.forward(images).argmax(1).eq(labels).sum().item<long>() / 1000.0 };
    },
});

/// <summary>Two convolutions, each normalised by the statistics of its slice, and a linear layer: [B, 1, 16, 16] → [B, 4].</summary>
internal sealed class ShapeNet : Module<Tensor, Tensor>
{
    private readonly Module<Tensor, Tensor> _layers = Sequential(
        Conv2d(1, 8, 3, padding: 1, bias: false), BatchNorm2d(8), ReLU(), MaxPool2d(2),
        Conv2d(8, 16, 3, padding: 1, bias: false), BatchNorm2d(16), ReLU(), MaxPool2d(2),
        Flatten(), Dropout(0.1), Linear(16 * 4 * 4, 4));

    public ShapeNet() : base(nameof(ShapeNet)) => RegisterComponents();

    public override Tensor forward(Tensor images) => _layers.forward(images);
}
