using Aisle.Training.Protocol;

namespace Aisle.Training.Exchange;

internal sealed partial class ShardExchange
{
    /// <summary>The step's slices whose gradients are to be told; none for a step that is over.</summary>
    public SliceSet AuditedOf(long step)
    {
        lock (_gate) return PlanOf(step)?.Audited ?? SliceSet.Empty;
    }

    public void AuditOrdered(long step, SliceSet slices)
    {
        using var stay = Enter();
        if (!_closed) Carry(Rules.AuditOrdered(step, slices));
    }

    public void Cleared(long step)
    {
        using var stay = Enter();
        if (!_closed) Carry(Rules.Cleared(step));
    }
}
