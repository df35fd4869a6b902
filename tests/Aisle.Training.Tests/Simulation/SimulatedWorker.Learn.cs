using Aisle.Training.Protocol;

namespace Aisle.Training.Tests.Simulation;

/// <summary>A state that comes piece by piece.</summary>
internal sealed partial class SimulatedWorker
{
    private readonly Queue<DataMessage.State> _pieces = new(); // here, and not yet taken in
    private readonly long[] _pieceStates = new long[SimulatedModel.Shards];

    private void BeginLesson()
    {
        _pieces.Clear();
        Array.Fill(_pieceStates, -1);
    }

    private void TakePiece(DataMessage.State piece)
    {
        if (!Rules.CanTake(piece.Shard, piece.Step)) return;
        if (_weights.Length == 0) _weights = new float[SimulatedModel.Elements];
        Assert.Equal(-1, _pieceStates[piece.Shard]);
        piece.Weights.CopyTo(_weights, piece.Shard * SimulatedModel.ShardElements);
        _taughtBy.UnionWith(piece.TaughtBy);
        _pieceStates[piece.Shard] = piece.Step;
        cluster.NotePiece(Rules.FollowedUpTo!.Value - piece.Step);
        for (var step = piece.Step; step < Rules.FollowedUpTo; step++) Move(piece.Shard, step);
        Carry(Rules.PieceTaken(piece.Shard, piece.Step));
    }

    private void Follow(long step)
    {
        for (var shard = 0; shard < _pieceStates.Length; shard++)
        {
            if (_pieceStates[shard] == step) Move(shard, step);
        }
        Carry(Rules.Followed(step));
    }

    private void Move(int shard, long step)
    {
        SimulatedModel.Apply(Of(_weights), Of(_reduced[step]));
        _pieceStates[shard]++;

        Span<float> Of(float[] values) => values.AsSpan(shard * SimulatedModel.ShardElements, SimulatedModel.ShardElements);
    }

    private void EndLesson(long state)
    {
        Assert.All(_pieceStates, at => Assert.Equal(state, at));
        _state = state;
        Settle();
        Carry(Rules.StateArrived(state));
    }
}
