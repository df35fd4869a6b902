using System.Collections.Immutable;
using Aisle.Artifacts;

namespace Aisle.Training.Protocol;

/// <summary>Which states are stored and by whom. Two members keep a copy of each until it is announced as stored, so one may die.</summary>
public sealed partial class CoordinatorProtocol
{
    private const int Keepers = 2;
    private readonly SortedDictionary<long, Save> _saves = []; // ordered and not yet stored
    private (long Step, Digest Digest)? _finished; // the model, stored and not yet announced
    private int _turn;

    /// <summary>A worker has stored what it was ordered to: a checkpoint, the model, or both.</summary>
    /// <param name="generation">Of the order.</param>
    /// <param name="hash">Of what was stored, taken from the copy itself.</param>
    public IReadOnlyList<CoordinatorEffect> Saved(MemberId id, long step, Digest? checkpoint, Digest? model, long generation, StateHash hash, TimeSpan now)
    {
        if (_over || !_members.TryGetValue(id, out var member)) return [];
        HearFrom(member, now);
        if (generation < _generation && !(_agreed.TryGetValue(step, out var agreed) && agreed == hash)) return Take(); // of a state that was undone meanwhile, or by somebody whose state was wrong
        if (_votes.TryGetValue(step, out var votes) && votes.Values.Any(ballot => !ballot.Hash.Agrees(hash)))
        {
            CannotSave(id, step, "the copy is not the state that the workers agreed on", now);
            return Take();
        }
        // Ordered by a coordinator before this one: it is stored all the same.
        var isNews = _saves.Remove(step) || (model is null && checkpoint is not null && step > (_newest?.Step ?? 0));
        if (!isNews) return Take();
        if (checkpoint is { } state)
        {
            _newest = (step, state);
            _stored.Add((step, state, hash));
            _effects.Add(new CoordinatorEffect.Stored(step, IsModel: false, state));
        }
        if (model is { } weights) _finished = (step, weights); // announced when everyone has agreed on the state it was made of
        foreach (var keeper in _members.Keys) _effects.Add(new CoordinatorEffect.SendSaved(keeper, step));
        Advance(now);
        return Take();
    }

    /// <summary>A worker could not store the state: another keeper is asked.</summary>
    public IReadOnlyList<CoordinatorEffect> NotSaved(MemberId id, long step, string reason, TimeSpan now)
    {
        if (!_over) CannotSave(id, step, reason, now);
        return Take();
    }

    private void CannotSave(MemberId id, long step, string reason, TimeSpan now)
    {
        if (!_saves.TryGetValue(step, out var save) || save.Order.Keepers[0] != id) return;
        save.LastReason = reason;
        save.Failed.Add(id);
        ReassignSaves();
        Advance(now);
    }

    private bool IsStored(long step) => IsModel(step) || IsCheckpoint(step);

    private bool IsModel(long step) => step == LastStep && LastStep == Shape.Steps;

    private bool IsCheckpoint(long step) => step > (_newest?.Step ?? 0)
        && ((step == LastStep && LastStep < Shape.Steps) || (Shape.CheckpointEvery > 0 && step % Shape.CheckpointEvery == 0));

    /// <summary>Said before the plan of the same step, so that a keeper copies the state before that step changes it.</summary>
    private void OrderSave(long step)
    {
        if (!IsStored(step)) return;
        var candidates = Takers.Select(member => member.Member.Id).ToList();
        var turn = _turn++ % candidates.Count;
        var order = new SaveOrder(step, IsCheckpoint(step), IsModel(step), [.. candidates.Skip(turn).Concat(candidates.Take(turn)).Take(Keepers)]) { Generation = _generation };
        _saves.Add(step, new Save(order));
        foreach (var keeper in order.Keepers) _effects.Add(new CoordinatorEffect.SendSaveOrder(keeper, order));
    }

    private void ReassignSaves()
    {
        foreach (var (step, save) in _saves.ToList())
        {
            bool CanWrite(MemberId id) => _members.TryGetValue(id, out var member) && member.Role == Role.Active && member.IsConnected && !save.Failed.Contains(id);
            bool IsSilent(MemberId id) => _members[id].IsSilent;
            if (CanWrite(save.Order.Keepers[0]) && !IsSilent(save.Order.Keepers[0])) continue;
            // The last state stays where it is: there anyone can write it. An earlier one is only with its keepers.
            ImmutableArray<MemberId> left = [.. step == LastStep ? Active.Select(member => member.Member.Id).Where(CanWrite) : save.Order.Keepers.Where(CanWrite)];
            left = [.. left.OrderBy(IsSilent)];
            if (left.SequenceEqual(save.Order.Keepers)) continue;
            if (left.Length > 0)
            {
                save.Order = save.Order with { Keepers = left };
                foreach (var keeper in left) _effects.Add(new CoordinatorEffect.SendSaveOrder(keeper, save.Order));
                continue;
            }
            _saves.Remove(step);
            var reason = save.LastReason ?? "the workers that kept it are gone";
            _effects.Add(new CoordinatorEffect.NotStored(step, reason));
            if (step == LastStep)
            {
                Fail(new AisleException("AISLE-5124", $"The result at step {step} could not be stored: {reason}.", "Make room or repair the store, then run the job again: it resumes from its last checkpoint."));
            }
        }
    }

    private void CompleteWhenStored()
    {
        if (_over || _saves.Count > 0 || !Active.Any(member => member.State >= LastStep) || !Hands.All(member => member.State >= LastStep)) return;
        if (_finished is { } model) _effects.Add(new CoordinatorEffect.Stored(model.Step, IsModel: true, model.Digest));
        _over = _completed = true;
        foreach (var id in _members.Keys) _effects.Add(new CoordinatorEffect.SendFinished(id));
        _effects.Add(new CoordinatorEffect.Completed(LastStep));
    }

    private sealed class Save(SaveOrder order)
    {
        public SaveOrder Order { get; set; } = order;

        public HashSet<MemberId> Failed { get; } = [];

        public string? LastReason { get; set; }
    }
}
