using Aisle.Artifacts;
using Aisle.Training.Checkpoints;
using Aisle.Training.Exchange;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training;

/// <summary>What the coordinator says, and what the rules ask for in return.</summary>
internal sealed partial class WorkerSession
{
    /// <returns>False when there is nothing more to hear.</returns>
    private bool Obey(ControlMessage message)
    {
        switch (message)
        {
            case ControlMessage.Welcome welcome:
                _welcomed = true;
                _self = welcome.Member;
                if (_self == _member && Volatile.Read(ref _life) != 0)
                {
                    _exchange.CoordinatorReturned();
                    SayAgain();
                }
                return true;
            case ControlMessage.Refused refused:
                End(null, new AisleException(refused.Code, refused.What, refused.Next));
                return false;
            case ControlMessage.Begin begin:
                Begin(begin.Order);
                return true;
            case ControlMessage.Plan plan:
                _exchange.Planned(plan.Step);
                return true;
            case ControlMessage.OrderAudit audit:
                _exchange.AuditOrdered(audit.Step, audit.Slices);
                return true;
            case ControlMessage.Cleared cleared:
                _exchange.Cleared(cleared.Step);
                return true;
            case ControlMessage.OrderSave save:
                lock (_saving) _orders[save.Order.Step] = save.Order;
                _exchange.SaveOrdered(save.Order);
                return true;
            case ControlMessage.SaveAnnounced saved:
                _exchange.SaveAnnounced(saved.Step);
                return true;
            case ControlMessage.Finished:
                End(new WorkerOutcome(_state, _weightsHash, Interlocked.Read(ref _slicesComputed)), null);
                return false;
            case ControlMessage.Heartbeat:
                return true;
            default:
                throw new AisleException("AISLE-5131", $"A coordinator does not say {message.GetType().Name}.", "Check what listens on the coordinator's port.");
        }
    }

    private void Begin(BeginOrder begin)
    {
        // In this order: whatever the rules asked for until here carries the old life's number.
        (_self, _member, _term) = (begin.Member, begin.Member, begin.Term);
        var life = begin.Life;
        (_generation, _shutOut) = (begin.Generation, begin.ShutOut);
        if (begin.Source != StateSource.Own) _now = null; // what it has is not to be taken up any more, should the coordinator be lost in this moment
        _exchange.Begin(_self, begin.Term, life);
        Volatile.Write(ref _abandon, -1);
        Volatile.Write(ref _life, life);
        ForgetSnapshots();
        if (begin.Source == StateSource.Peer)
        {
            Enqueue(() => BeginLesson(life));
            return;
        }
        // On the computing thread, which may still be in the middle of a slice of the life before.
        Enqueue(() =>
        {
            if (Volatile.Read(ref _life) != life) return;
            if (begin.Source == StateSource.Initial) StartFromSeed();
            else if (begin.Source == StateSource.Checkpoint) LoadCheckpoint(begin.Checkpoint!.Value, begin.Step);
            _exchange.StateArrived(life, _state); // its own may have moved on by a step since the coordinator heard of it
        });
    }

    /// <summary>Under the exchange's lock.</summary>
    void IExchangeOwner.Carry(WorkerEffect effect)
    {
        var life = Volatile.Read(ref _life);
        switch (effect.Action)
        {
            case WorkerAction.Compute:
                Enqueue(() => ComputeUnit(life, effect.Step, effect.Unit));
                break;
            case WorkerAction.Apply:
                Volatile.Write(ref _abandon, effect.Step);
                Enqueue(() => Apply(life, effect.Step));
                break;
            case WorkerAction.Audit:
                Enqueue(() => AuditSlice(life, effect.Step, effect.Unit));
                break;
            case WorkerAction.ReportState:
                SendLateGifts(effect.Step);
                if (_now is { } now) Tell(new ControlMessage.Reached(life, now.State, now.Report, _times));
                break;
            case WorkerAction.SendState:
                GivePiece(effect.Peer, effect.Step, effect.Shard);
                break;
            case WorkerAction.Follow:
                Enqueue(() => Follow(life, effect.Step));
                break;
            case WorkerAction.ReportLearning:
                Tell(new ControlMessage.Learning(life, effect.Step));
                break;
            case WorkerAction.BecomeState:
                Enqueue(() => EndLesson(life, effect.Step));
                break;
            case WorkerAction.KeepSnapshot:
                lock (_saving) _snapshots[effect.Step] = CopyState();
                break;
            case WorkerAction.WriteSnapshot:
                WriteInBackground(effect.Step);
                break;
            case WorkerAction.ReportNoSnapshot:
                Tell(new ControlMessage.NotSaved(effect.Step, "the worker that was to write it has no copy of that state"));
                break;
            case WorkerAction.DropSnapshot:
                lock (_saving)
                {
                    if (_snapshots.Remove(effect.Step, out var snapshot)) snapshot.Values.Release();
                }
                break;
        }
    }
}
