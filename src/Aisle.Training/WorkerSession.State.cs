using Aisle.Artifacts;
using Aisle.Training.Checkpoints;
using Aisle.Training.Exchange;
using Aisle.Training.Numerics;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training;

/// <summary>The state as a whole: copied for the disk, loaded from the store.</summary>
internal sealed partial class WorkerSession
{
    private readonly Lock _saving = new(); // guards _orders, _snapshots, _writing and _writers
    private readonly SortedDictionary<long, SaveOrder> _orders = [];
    private readonly SortedDictionary<long, TrainingState> _snapshots = [];
    private readonly HashSet<long> _writing = [];
    private readonly List<Thread> _writers = [];
    private BufferPool<float> _statePool = null!;

    /// <summary>The rules ask for it only between updates.</summary>
    private TrainingState CopyState()
    {
        var since = _options.Time.GetTimestamp();
        var copy = _statePool.Rent();
        _learned.CopyTo(copy.Span);
        _clock.Saved(since);
        return new TrainingState(_state, copy, _learned.Powers);
    }

    private void Adopt(long step, ReadOnlySpan<float> values, OptimizerPowers powers)
    {
        _now = null;
        (_lossPerToken, _skipped, _gradientNorm, _learningRate) = (double.NaN, false, double.NaN, double.NaN);
        _learned.Adopt(values, powers);
        BecomeState(step);
        RestartClock();
    }

    private void LoadCheckpoint(Digest digest, long step)
    {
        var folder = Scratch($"load-{step}");
        try
        {
            _options.Store.LoadAsync(digest, folder, _ending.Token).GetAwaiter().GetResult();
            var values = _statePool.Rent();
            var (stored, powers) = CheckpointFolder.Read(folder, values.Span, _recipe, _canary);
            if (stored != step) throw new AisleException("AISLE-5112", $"Checkpoint {digest.Short} is of step {stored}, not {step}.", "Resume from the step that the checkpoint was announced with.");
            Adopt(step, values.Span, powers);
            values.Release();
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private void WriteInBackground(long step)
    {
        TrainingState snapshot;
        SaveOrder order;
        lock (_saving)
        {
            if (!_writing.Add(step)) return; // it says so when it is done
            (snapshot, order) = (_snapshots[step], _orders[step]);
            snapshot.Values.Hold();
        }
        var writer = new Thread(() => Write(order, snapshot)) { IsBackground = true, Name = $"save {step}" };
        lock (_saving) _writers.Add(writer);
        writer.Start();
    }

    private void WaitForWriters()
    {
        List<Thread> writers;
        lock (_saving) writers = [.. _writers];
        foreach (var writer in writers) writer.Join();
    }

    private void ForgetSnapshots()
    {
        lock (_saving)
        {
            foreach (var snapshot in _snapshots.Values) snapshot.Values.Release();
            _snapshots.Clear();
            _orders.Clear();
        }
    }

    private void Write(SaveOrder order, TrainingState snapshot)
    {
        try
        {
            Digest? checkpoint = null, model = null;
            if (order.Checkpoint) checkpoint = Store($"checkpoint-{order.Step}", folder => CheckpointFolder.Write(folder, snapshot, _recipe, _canary));
            // The last state stays in the model: nothing changes it any more.
            if (order.Model) model = Store($"model-{order.Step}", _model.SaveModel);
            var hash = order.Model ? _learned.Hash() : snapshot.Hash(_model.ParameterCount);
            Tell(new ControlMessage.Saved(order.Step, checkpoint, model, order.Generation, hash));
        }
        catch (Exception e)
        {
            Log($"State {order.Step} could not be stored: {e.Message}");
            Tell(new ControlMessage.NotSaved(order.Step, e.Message));
        }
        finally
        {
            lock (_saving) _writing.Remove(order.Step);
            snapshot.Values.Release();
        }
    }

    private Digest Store(string name, Action<string> write)
    {
        var folder = Scratch(name);
        try
        {
            write(folder);
            return _options.Store.SaveAsync(folder, _ending.Token).GetAwaiter().GetResult();
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private string Scratch(string name)
    {
        var folder = Path.Combine(_options.ScratchFolder, name);
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        Directory.CreateDirectory(folder);
        return folder;
    }
}
