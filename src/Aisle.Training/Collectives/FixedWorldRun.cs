using System.IO.Hashing;
using System.Runtime.InteropServices;
using Aisle.Artifacts;
using Aisle.Training.Checkpoints;
using Aisle.Training.Exchange;
using Aisle.Training.Numerics;
using Aisle.Training.Protocol;

namespace Aisle.Training.Collectives;

/// <summary>One rank's run: agree, then sum and update step by step, and store what is due.</summary>
internal sealed class FixedWorldRun
{
    private readonly FixedWorldOptions _options;
    private readonly TrainingRecipe _recipe;
    private readonly ITrainable _model;
    private readonly IGradientSum _sum;
    private readonly SliceSum _slices;
    private readonly ModelState _learned;
    private readonly BufferPool<float> _statePool;
    private readonly Digest _canary;
    private readonly List<(long, Digest)> _checkpoints = [];
    private readonly long _start;
    private int _skippedInARow;
    private long _step;
    private double _lossPerToken = double.NaN;

    public FixedWorldRun(FixedWorldOptions options, ITrainable model, IGradientSum sum)
    {
        (_options, _recipe, _model, _sum, _start) = (options, options.Recipe, model, sum, options.Time.GetTimestamp());
        _slices = new SliceSum(model, _recipe);
        _learned = new ModelState(model, _recipe);
        _statePool = new BufferPool<float>(_learned.Elements);
        Directory.CreateDirectory(options.ScratchFolder);
        model.Initialize(_recipe.Seed);
        _canary = Canary();
    }

    public TrainingOutcome Run(CancellationToken cancellationToken)
    {
        new Agreement(_sum).OnStart(_recipe, _canary, _options.ResumeFrom);
        if (_options.ResumeFrom is { } checkpoint) Load(checkpoint.Digest, checkpoint.Step);
        else _learned.StartFromSeed();
        var firstSlice = (int)((long)_recipe.Slices * _sum.Rank / _sum.Ranks);
        var endSlice = (int)((long)_recipe.Slices * (_sum.Rank + 1) / _sum.Ranks);
        while (_step < _recipe.Steps)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var began = _options.Time.GetTimestamp();
            var note = _slices.Compute(_step, firstSlice, endSlice, _sum.Sums);
            var gradient = _sum.Reduce(note, _model.TokensIn(_step), out var all);
            var norm = all.Invalid ? double.NaN : GradientNorm.Of(gradient, _model.Runs);
            var learningRate = _recipe.Schedule.At(_step);
            if (!all.Invalid) _learned.Update(gradient, norm, learningRate);
            _skippedInARow = all.Invalid ? _skippedInARow + 1 : 0;
            if (_skippedInARow == SkippedSteps.MostInARow) throw SkippedSteps.TooMany(_skippedInARow, _step);
            _lossPerToken = all.Loss * FixedPoint.PowerOfTwo(-WorkerSession.LossFractionBits) / _model.TokensIn(_step);
            _step++;
            Tell(began, all.Invalid, norm, learningRate);
            if (_recipe.CheckpointEvery > 0 && _step % _recipe.CheckpointEvery == 0) SaveCheckpoint();
        }
        var model = Save("model", _model.SaveModel);
        _options.Event?.Invoke(new ModelSaved(Now, _step, model));
        return new TrainingOutcome(_step, model, WeightsHash, _lossPerToken, _checkpoints);
    }

    private ulong WeightsHash => XxHash3.HashToUInt64(MemoryMarshal.AsBytes(_model.Weights));

    private TimeSpan Now => _options.Time.GetElapsedTime(_start);

    private Digest Canary()
    {
        var loss = _model.ComputeSlice(step: 0, slice: 0);
        var gradient = Digest.Of(MemoryMarshal.AsBytes(_model.Gradients));
        return Digest.Of($"{gradient} {BitConverter.DoubleToUInt64Bits(loss.Sum):x16} {loss.Tokens}");
    }

    private void Tell(long began, bool skipped, double norm, double learningRate)
    {
        if (_options.Event is null) return;
        var seconds = _options.Time.GetElapsedTime(began).TotalSeconds;
        _options.Event(new StepCommitted(Now, _step, _lossPerToken, seconds > 0 ? _model.TokensIn(_step - 1) / seconds : 0, _sum.Ranks, WeightsHash, skipped, norm, learningRate));
    }

    private void SaveCheckpoint()
    {
        var digest = Save("checkpoint", folder =>
        {
            var copy = _statePool.Rent();
            _learned.CopyTo(copy.Span);
            CheckpointFolder.Write(folder, new TrainingState(_step, copy, _learned.Powers), _recipe, _canary);
            copy.Release();
        });
        _checkpoints.Add((_step, digest));
        _options.Event?.Invoke(new CheckpointSaved(Now, _step, digest));
    }

    private void Load(Digest digest, long step)
    {
        if (step > _recipe.Steps) throw new AisleException("AISLE-5114", $"The run ends at step {_recipe.Steps}, before step {step} of its checkpoint.", "Resume from an earlier checkpoint.");
        InScratch("load", folder =>
        {
            _options.Store.LoadAsync(digest, folder, CancellationToken.None).GetAwaiter().GetResult();
            var copy = _statePool.Rent();
            var (stored, powers) = CheckpointFolder.Read(folder, copy.Span, _recipe, _canary);
            if (stored != step) throw new AisleException("AISLE-5112", $"Checkpoint {digest.Short} is of step {stored}, not {step}.", "Resume from the step that the checkpoint was announced with.");
            _learned.Adopt(copy.Span, powers);
            _step = step;
            copy.Release();
        });
    }

    /// <summary>Stores on rank 0, when all ranks hold the same weights, and tells everyone the digest.</summary>
    private Digest Save(string what, Action<string> write)
    {
        var agreement = new Agreement(_sum);
        agreement.OnWeights(_step, WeightsHash);
        Span<byte> digest = stackalloc byte[Digest.SizeBytes];
        digest.Clear();
        if (_sum.Rank == 0)
        {
            var stored = default(Digest);
            InScratch(what, folder =>
            {
                write(folder);
                stored = _options.Store.SaveAsync(folder, CancellationToken.None).GetAwaiter().GetResult();
            });
            stored.CopyTo(digest);
        }
        return agreement.OfRankZero(digest);
    }

    private void InScratch(string name, Action<string> use)
    {
        var folder = Path.Combine(_options.ScratchFolder, $"{name}-{_step}-rank-{_sum.Rank}");
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        Directory.CreateDirectory(folder);
        try
        {
            use(folder);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
