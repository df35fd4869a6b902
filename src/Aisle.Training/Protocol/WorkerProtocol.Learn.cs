using System.Collections.Immutable;

namespace Aisle.Training.Protocol;

/// <summary>
/// How a worker without a state comes to one while the others go on. From its first plan on it receives every step's reduced gradients, and it asks donors for the
/// state in pieces, one for each shard, disjoint ones from each of them. An update works element by element, so a piece can be carried along from step to step as
/// soon as it is here: one that was taken two steps ago is brought up by the gradients of these two. When the last piece is here, all of them are at one state.
/// </summary>
/// <remarks>
/// It ends: a piece that is here is never asked for again. While one is on its way, the gradients that it may need are kept, of <c>mostKept</c> steps at most; then this
/// worker follows no further until the piece is here or its donor is gone, and the coordinator lets the others wait for it.
/// </remarks>
public sealed partial class WorkerProtocol
{
    /// <summary>Pieces under way from one donor at a time: enough for the next to be on its way while one is taken in.</summary>
    public const int PiecesAtOnce = 2;

    /// <summary>
    /// What peers say of steps further ahead of what this worker knows is not taken in. More than a learner may be behind
    /// (<see cref="CoordinatorRules.MostBehind"/>): peers' gradients may overtake the coordinator's plans, and are sent once.
    /// </summary>
    public const int MostAhead = 8;

    private readonly List<Gift> _gifts = []; // what learners asked for, also the last that were sent: they may have been lost on their way
    private Lesson? _lesson;
    private long _oldest; // nobody lacks anything of the steps before

    /// <summary>How far this worker is without having a state yet: it has all gradients of the steps before. Null when it is no learner.</summary>
    public long? FollowedUpTo => _lesson?.State;

    /// <summary>A learner wants the shard's piece of the state <paramref name="atLeast"/>, or of a later one.</summary>
    public IReadOnlyList<WorkerEffect> StateAsked(MemberId learner, int shard, long atLeast)
    {
        if (shard < 0 || shard >= shards) return [];
        _gifts.RemoveAll(gift => gift.To == learner && gift.Shard == shard);
        while (_gifts.Count(gift => gift.To == learner) >= 2 * PiecesAtOnce) _gifts.RemoveAt(_gifts.FindIndex(gift => gift.To == learner)); // it has that one, or will ask again
        _gifts.Add(new Gift(learner, shard, atLeast));
        DriveGifts();
        return Take();
    }

    /// <summary>Whether a piece of this state can still be brought up to where the others are.</summary>
    public bool CanTake(int shard, long state) =>
        _lesson is { IsOver: false } lesson && shard >= 0 && shard < shards && !lesson.Has[shard] && state >= lesson.From && (state >= lesson.State || state > _released);

    /// <summary>A piece is here, of a state <paramref name="state"/> for which <see cref="CanTake"/> was true, and has been brought up as far as the others.</summary>
    public IReadOnlyList<WorkerEffect> PieceTaken(int shard, long state)
    {
        if (_lesson is not { } lesson || lesson.Has[shard]) return Take();
        lesson.Has[shard] = true;
        lesson.Lacking--;
        lesson.Highest = Math.Max(lesson.Highest, state);
        lesson.Asked.Remove(shard);
        Emit(WorkerAction.ReportLearning, lesson.State);
        ReleaseUnneeded();
        DriveLesson();
        return Take();
    }

    /// <summary><see cref="WorkerAction.Follow"/> has been carried out.</summary>
    public IReadOnlyList<WorkerEffect> Followed(long step)
    {
        if (_lesson is not { } lesson || lesson.State != step) return Take();
        lesson.State = step + 1;
        lesson.FollowAsked = false;
        Emit(WorkerAction.ReportLearning, lesson.State);
        ReleaseUnneeded();
        DriveLesson();
        return Take();
    }

    /// <summary>By the newest plan: who is to be asked.</summary>
    private void LearnFrom(StepPlan plan)
    {
        if (State is not null || plan.Learners.FirstOrDefault(learner => learner.Member.Id == self) is not { } entry) return;
        _lesson ??= new Lesson(plan.Step, shards);
        _lesson.Donors = entry.Donors;
        foreach (var (shard, asked) in _lesson.Asked.ToList())
        {
            if (!entry.Donors.Contains(asked.Of)) _lesson.Asked.Remove(shard); // another is asked, for these alone
        }
    }

    private void DriveLesson()
    {
        if (_lesson is not { IsOver: false } lesson) return;
        foreach (var donor in lesson.Donors)
        {
            while (lesson.Asked.Values.Count(asked => asked.Of == donor) < PiecesAtOnce && lesson.Next() is { } shard)
            {
                lesson.Asked.Add(shard, (donor, lesson.State));
                Emit(WorkerAction.AskState, lesson.State, shard: shard, peer: donor);
            }
        }
        if (lesson.FollowAsked) return;
        if (lesson.Lacking == 0 && lesson.State >= lesson.Highest)
        {
            lesson.IsOver = true;
            Emit(WorkerAction.BecomeState, lesson.State);
            return;
        }
        if (Find(lesson.State) is not { Plan: not null } step || step.ReducedShards < shards || IsHeld(step) || lesson.State - lesson.Needed >= mostKept) return;
        lesson.FollowAsked = true;
        Emit(WorkerAction.Follow, lesson.State);
    }

    // Between Apply and Applied the weights are neither this state nor the next.
    private void DriveGifts()
    {
        if (_gifts.Count == 0 || State is not { } state || IsApplying || PlanOf(_latestPlan) is not { } plan) return;
        for (var i = 0; i < _gifts.Count; i++)
        {
            var gift = _gifts[i];
            if (gift.IsSent || state < gift.AtLeast || !Has(plan, gift.To)) continue; // it may have heard of its place earlier than this worker
            _gifts[i] = gift with { IsSent = true };
            Emit(WorkerAction.SendState, state, shard: gift.Shard, peer: gift.To);
        }
    }

    private static bool Has(StepPlan plan, MemberId receiver) => plan.Receivers.Any(member => member.Id == receiver);

    private void GiveAgain(MemberId learner)
    {
        for (var i = 0; i < _gifts.Count; i++)
        {
            if (_gifts[i].To == learner) _gifts[i] = _gifts[i] with { IsSent = false };
        }
    }

    private void AskAgain(MemberId donor)
    {
        if (_lesson is not { } lesson) return;
        foreach (var (shard, asked) in lesson.Asked.ToList())
        {
            if (asked.Of == donor) lesson.Asked.Remove(shard);
        }
    }

    private void ReleaseUnneeded()
    {
        var needed = Math.Min(_oldest, _lesson?.Needed ?? long.MaxValue);
        Release(upTo: needed - 1);
    }

    private readonly record struct Gift(MemberId To, int Shard, long AtLeast, bool IsSent = false);

    private sealed class Lesson(long from, int shards)
    {
        /// <summary>The first state whose successors this worker can make by itself: it gets the gradients from here on.</summary>
        public long From { get; } = from;

        /// <summary>Pieces that are here are at this state, unless they came ahead of it.</summary>
        public long State { get; set; } = from;

        /// <summary>The newest state that a piece came from.</summary>
        public long Highest { get; set; } = from;

        public ImmutableArray<MemberId> Donors { get; set; } = [];

        public bool[] Has { get; } = new bool[shards];

        public int Lacking { get; set; } = shards;

        /// <summary>Shard → who was asked for its piece, and for what state at least.</summary>
        public SortedDictionary<int, (MemberId Of, long AtLeast)> Asked { get; } = [];

        public bool FollowAsked { get; set; }

        public bool IsOver { get; set; }

        /// <summary>Gradients of the steps from here on may be needed for pieces that are on their way.</summary>
        public long Needed => Asked.Count == 0 ? State : Math.Min(State, Asked.Values.Min(asked => asked.AtLeast));

        public int? Next()
        {
            for (var i = 0; i < Has.Length; i++)
            {
                if (!Has[i] && !Asked.ContainsKey(i)) return i;
            }
            return null;
        }
    }
}
