using System.Net;
using Aisle.Api;
using Aisle.Head;
using Aisle.Jobs;
using Aisle.Pipelines;
using Aisle.Tensors;
using Aisle.Training;
using Aisle.Training.LanguageModels;

namespace Aisle.Work;

/// <summary>One worker of a training job: joins the coordinator named in its order, and computes slices until the job is done.</summary>
internal static class TrainingWork
{
    public static async Task RunAsync(ProcessStart start, JobSpec spec, AisleClient client, CancellationToken cancellationToken)
    {
        if (ProgramCatalogue.Find(spec.Program)?.Name == ProgramCatalogue.TrainProgram)
        {
            await ProgramWork.RunAsync(start, spec, client, cancellationToken);
            return;
        }
        var tokens = await JobProcess.FetchAsync(start, client, spec.Inputs["tokens"], cancellationToken);
        // A model to start from, where the program takes one: it is frozen, and adapters beside it learn.
        var frozen = spec.Inputs.TryGetValue("model", out var model) ? await JobProcess.FetchAsync(start, client, model, cancellationToken) : null;
        await Worker.RunAsync(new WorkerOptions
        {
            Name = start.Order.Process,
            Coordinator = IPEndPoint.Parse(start.Order.Coordinator!),
            Secret = Convert.FromHexString(start.Order.Secret!),
            Recipe = TrainingRecipe.FromParameters(TrainingStretch.RecipeOf(spec), spec.Seed),
            Model = recipe => frozen is null ? new LanguageModelTraining(recipe, tokens) : new LanguageModelFineTuning(recipe, tokens, frozen),
            NumericClass = NumericClass.OfThisMachine().Fingerprint,
            Store = new ArtifactCheckpoints(client.Artifacts),
            ScratchFolder = start.Scratch,
            Log = JobProcess.Log,
        }, cancellationToken);
    }
}
