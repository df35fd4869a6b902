using System.Net.Sockets;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training;

public sealed partial class Coordinator
{
    private void Carry(IReadOnlyList<CoordinatorEffect> effects)
    {
        foreach (var effect in effects)
        {
            switch (effect)
            {
                case CoordinatorEffect.SendBegin begin:
                    // The first step is timed from here: waiting for workers is no part of it.
                    if (begin.Order.Source != StateSource.Peer) _latestAt = Now;
                    Tell(begin.To, new ControlMessage.Begin(begin.Order));
                    if (!_connections.Remove(begin.To, out var seat)) break;
                    seat.Id = begin.Order.Member;
                    _connections.Add(seat.Id, seat);
                    break;
                case CoordinatorEffect.SendPlan plan:
                    Tell(plan.To, new ControlMessage.Plan(plan.Plan));
                    break;
                case CoordinatorEffect.SendAudit audit:
                    Tell(audit.To, new ControlMessage.OrderAudit(audit.Step, audit.Slices));
                    break;
                case CoordinatorEffect.SendCleared cleared:
                    Tell(cleared.To, new ControlMessage.Cleared(cleared.Step));
                    break;
                case CoordinatorEffect.Quarantined quarantined:
                    Raise(new WorkerQuarantined(Now, quarantined.Name, quarantined.Host, quarantined.Why, quarantined.Step, quarantined.Slice));
                    break;
                case CoordinatorEffect.Withdrawn withdrawn:
                    _checkpoints.Remove((withdrawn.Step, withdrawn.Digest));
                    Raise(new CheckpointWithdrawn(Now, withdrawn.Step, withdrawn.Digest));
                    break;
                case CoordinatorEffect.SendSaveOrder order:
                    Tell(order.To, new ControlMessage.OrderSave(order.Order));
                    break;
                case CoordinatorEffect.SendSaved saved:
                    Tell(saved.To, new ControlMessage.SaveAnnounced(saved.Step));
                    break;
                case CoordinatorEffect.SendFinished finished:
                    Tell(finished.To, new ControlMessage.Finished());
                    break;
                case CoordinatorEffect.Refuse refuse:
                    Tell(refuse.To, new ControlMessage.Refused(refuse.Reason.Code, refuse.Reason.What, refuse.Reason.Next));
                    if (_connections.TryGetValue(refuse.To, out var refused)) Raise(new WorkerRefused(Now, refused.Name, refuse.Reason.Message));
                    break;
                case CoordinatorEffect.HangUp hangUp:
                    if (_connections.TryGetValue(hangUp.To, out var silent)) silent.Connection.Dispose();
                    break;
                case CoordinatorEffect.Joined joined:
                    Raise(new WorkerJoined(Now, joined.Member.Name));
                    break;
                case CoordinatorEffect.Learns learns:
                    Raise(new WorkerLearns(Now, learns.Member.Name, learns.From));
                    break;
                case CoordinatorEffect.Left left:
                    Raise(new WorkerLost(left.At, left.Member.Name, left.Reason));
                    break;
                case CoordinatorEffect.Suspected suspected:
                    Raise(new WorkerSuspected(suspected.At, suspected.Member.Name, suspected.Silence));
                    break;
                case CoordinatorEffect.Returned returned:
                    Raise(new WorkerReturned(Now, returned.Member.Name));
                    break;
                case CoordinatorEffect.WentAway gone:
                    Raise(new WorkerLeft(Now, gone.Member.Name));
                    break;
                case CoordinatorEffect.Reunited reunited:
                    Raise(new RunReunited(Now, reunited.State, reunited.Holders));
                    break;
                case CoordinatorEffect.Viewed viewed:
                    Raise(new ViewChanged(Now, viewed.Epoch, [.. viewed.Members.Select(member => member.Name)]));
                    break;
                case CoordinatorEffect.Committed committed:
                    Committed(committed);
                    break;
                case CoordinatorEffect.Hedged hedged:
                    Raise(new StepHedged(Now, hedged.Step, hedged.Slices));
                    break;
                case CoordinatorEffect.Recovered recovered:
                    Raise(new StepRecovered(Now, recovered.State, recovered.Took, recovered.SlicesRecomputed));
                    break;
                case CoordinatorEffect.RolledBack rolledBack:
                    Raise(new RolledBack(Now, rolledBack.From, rolledBack.To));
                    break;
                case CoordinatorEffect.Stored { IsModel: true } model:
                    _model = model.Digest;
                    Raise(new ModelSaved(Now, model.Step, model.Digest));
                    break;
                case CoordinatorEffect.Stored checkpoint:
                    _checkpoints.Add((checkpoint.Step, checkpoint.Digest));
                    Raise(new CheckpointSaved(Now, checkpoint.Step, checkpoint.Digest));
                    break;
                case CoordinatorEffect.NotStored notStored:
                    Raise(new CheckpointSkipped(Now, notStored.Step, notStored.Reason));
                    break;
                case CoordinatorEffect.Completed completed:
                    _outcome.TrySetResult(new TrainingOutcome(completed.Step, _model, _latest.WeightsHash, _latest.LossPerToken, [.. _checkpoints]));
                    break;
                case CoordinatorEffect.Failed failed:
                    _outcome.TrySetException(failed.Reason);
                    break;
            }
        }
    }

    private void Committed(CoordinatorEffect.Committed committed)
    {
        var took = committed.At - _latestAt;
        (_latest, _latestAt) = (committed.Report, committed.At);
        Raise(new StepCommitted(
            committed.At, committed.State, committed.Report.LossPerToken, took > TimeSpan.Zero ? _rules.TokensPerStep / took.TotalSeconds : 0, committed.Workers,
            committed.Report.WeightsHash, committed.Report.Skipped, committed.Report.GradientNorm, committed.Report.LearningRate));
    }

    private void Raise(TrainingEvent happened) => _options.Event?.Invoke(happened);

    private void Tell(MemberId to, ControlMessage message)
    {
        if (!_connections.TryGetValue(to, out var worker)) return;
        try
        {
            worker.Connection.Send(FrameKind.Control, message.ToJson());
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Its own thread learns of it from the closed connection, and tells the rules.
            worker.Connection.Dispose();
        }
    }
}
