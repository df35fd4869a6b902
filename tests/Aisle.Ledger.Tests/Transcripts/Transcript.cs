using System.Globalization;
using System.Text;
using Aisle.Ledger.Consensus;
using Aisle.Ledger.Tests.Simulation;

namespace Aisle.Ledger.Tests.Transcripts;

/// <summary>
/// Members that do what a text file says, and write down what they say to each other. No chance, no delay: after each command everything is delivered and flushed.
/// Lines that begin with <c>&gt;</c> are commands, lines that begin with <c>#</c> are notes, the rest is what followed. Heartbeats and answers to them are left out.
/// </summary>
internal sealed class Transcript
{
    private const int ChunkBytes = 4;

    private readonly StringBuilder _text = new();
    private readonly Queue<Message> _network = [];
    private readonly SortedDictionary<ulong, (Raft? Raft, SimulatedDisk Disk, List<byte> Arriving)> _members = [];
    private readonly HashSet<ulong> _cutOff = [];
    private long _now;
    private long _requests;

    public static string Play(IEnumerable<string> lines)
    {
        var transcript = new Transcript();
        foreach (var line in lines)
        {
            if (line.StartsWith('#') || line.StartsWith('>')) transcript._text.AppendLine(line);
            if (!line.StartsWith('>')) continue;
            transcript.Do(line[1..].Split(' ', StringSplitOptions.RemoveEmptyEntries));
            transcript._text.AppendLine();
        }
        return transcript._text.ToString().TrimEnd() + "\n";
    }

    private void Do(string[] words)
    {
        var member = words.Length > 1 && words[1][0] == 'm' ? Number(words[1]) : 0;
        var other = new MemberId(words.Length > 2 && words[2][0] == 'm' ? Number(words[2]) : 0);
        switch (words[0])
        {
            case "start":
                var voters = Membership.Of([.. Enumerable.Range(1, int.Parse(words[1], CultureInfo.InvariantCulture)).Select(id => (ulong)id)]);
                foreach (var voter in voters.Voters) Start(voter.Value, new SimulatedDisk(voters));
                break;
            case "join": Start(member, new SimulatedDisk(Membership.None)); break;
            case "crash": _members[member] = (null, _members[member].Disk, []); break;
            case "restart": Start(member, _members[member].Disk); break;
            case "cut": _cutOff.Add(member); break;
            case "heal": _cutOff.Remove(member); break;
            case "stand":
                // Only its time passes, until it has had enough of waiting.
                while (_members[member].Raft is { Role: Role.Follower }) Step(member, Tick.Now, _now += 10);
                break;
            case "run":
                for (var end = _now + long.Parse(words[1], CultureInfo.InvariantCulture); _now < end;)
                {
                    _now += 10;
                    foreach (var id in _members.Keys.ToList()) Step(id, Tick.Now, _now);
                    Deliver();
                }
                break;
            case "propose": Step(member, new Propose(++_requests, Encoding.UTF8.GetBytes(words[2])), _now); break;
            case "read": Step(member, new Read(++_requests), _now); break;
            case "add": Step(member, new ChangeMembers(++_requests, MemberChange.AddLearner, other), _now); break;
            case "promote": Step(member, new ChangeMembers(++_requests, MemberChange.Promote, other), _now); break;
            case "remove": Step(member, new ChangeMembers(++_requests, MemberChange.Remove, other), _now); break;
            case "transfer": Step(member, new Transfer(other), _now); break;
            case "snapshot":
                var (raft, disk, _) = _members[member];
                var position = new LogPosition(raft!.TermAt(raft.Commit), raft.Commit);
                disk.Snapshot = new SimulatedSnapshot(position, raft.MembersAt(position.Index), Encoding.UTF8.GetBytes($"state of {position.Index}"));
                Step(member, new SnapshotMade(position, position.Index), _now);
                disk.Cut(position.Index);
                break;
            default: throw new ArgumentException($"No command '{words[0]}'.");
        }
        Deliver();
    }

    private void Start(ulong id, SimulatedDisk disk)
    {
        var start = new RaftStart(disk.State, disk.Snapshot.Position, disk.Snapshot.Members, disk.Base, [.. disk.Log]);
        _members[id] = (new Raft(new MemberId(id), new RaftSettings(), start, disk.Read, _now), disk, []);
        Carry(id);
    }

    private void Step(ulong id, Input input, long now)
    {
        if (!_members.TryGetValue(id, out var member) || member.Raft is not { } raft) return;
        var before = raft.Role;
        raft.Step(now, input);
        Carry(id);
        if (raft.Role != before) Say(id, $"is {raft.Role} in term {raft.Term}");
    }

    private void Deliver()
    {
        while (_network.TryDequeue(out var message))
        {
            if (_cutOff.Contains(message.From.Value) || _cutOff.Contains(message.To.Value)) continue;
            Step(message.To.Value, new Received(message), _now);
        }
    }

    private void Carry(ulong id)
    {
        var (raft, disk, arriving) = _members[id];
        while (raft!.TryTake(out var ready))
        {
            foreach (var message in ready.Send) Send(id, message);
            if (ready.Persist is { } persist)
            {
                if (!persist.WritesNothing)
                {
                    Say(id, "writes" + (persist.State is { } state ? $" term {state.Term} vote {state.Vote}" : "") + (persist.Base is { } from ? $" log from {At(from)}" : "")
                        + (persist.TruncateFrom > 0 ? $" cut from {persist.TruncateFrom}" : "") + (persist.Entries.Count > 0 ? $" {Show(persist.Entries)}" : ""));
                }
                disk.Write(persist);
                disk.Flush();
                foreach (var message in persist.Release) Send(id, message);
                raft.Step(_now, new Persisted(persist.Completion));
            }
            if (!ready.Apply.IsEmpty)
            {
                Say(id, $"applies {Show(ready.Apply)}");
                raft.Step(_now, new Applied(ready.Apply[^1].Index));
            }
            foreach (var chunk in ready.Store) arriving.AddRange(chunk.Data.Span);
            foreach (var wanted in ready.Chunks)
            {
                var state = disk.Snapshot.State;
                var data = state.AsMemory((int)wanted.Offset, Math.Min(ChunkBytes, state.Length - (int)wanted.Offset));
                Send(id, new SnapshotChunk(raft.Self, wanted.To, wanted.Term, wanted.Session, wanted.Position, wanted.Membership, wanted.Offset, state.Length, data));
            }
            if (ready.Install is { } position)
            {
                Say(id, $"installs {At(position)}: '{Encoding.UTF8.GetString([.. arriving])}'");
                disk.Snapshot = new SimulatedSnapshot(position, raft.ArrivingMembers, [.. arriving]);
                raft.Step(_now, new SnapshotInstalled(position, true));
            }
            foreach (var answer in ready.Answers) Say(id, $"answers {answer.Id}: {answer.Verdict}{(answer.Verdict == Verdict.Done ? $" at {answer.Position.Index}" : "")}");
        }
    }

    private void Send(ulong id, Message message)
    {
        _network.Enqueue(message);
        var text = message switch
        {
            VoteRequest ask => $"asks {ask.To}: {ask.Ballot} in term {ask.Term}, log ends at {At(ask.Last)}",
            VoteReply reply => $"answers {reply.To}: {(reply.Granted ? "yes" : "no")}, term {reply.Term}{(reply.Removed ? ", you are removed" : "")}",
            Append { Entries.IsEmpty: false } append => $"sends {append.To} after {At(append.Previous)}: {Show(append.Entries)}, commit {append.Commit}",
            AppendReply { Accepted: false } reply => $"tells {reply.To}: not {reply.Index}, perhaps {At(reply.Hint)}, term {reply.Term}",
            AppendReply reply when reply.Index > (_members[id].Raft?.Commit ?? 0) => $"tells {reply.To}: all to {reply.Index}",
            SnapshotChunk chunk => $"sends {chunk.To} of snapshot {At(chunk.Position)} bytes {chunk.Offset}+{chunk.Data.Length} of {chunk.Total}",
            SnapshotReply reply => $"tells {reply.To}: next from {reply.Offset}{(reply.Installing ? ", at work" : "")}",
            TakeOver takeOver => $"tells {takeOver.To} to take over at {At(takeOver.Last)}",
            _ => null,
        };
        if (text is not null) Say(id, text);
    }

    private void Say(ulong id, string what) => _text.Append('m').Append(id).Append(' ').AppendLine(what);

    private static string At(LogPosition position) => $"{position.Index}@{position.Term}";

    private static string Show(IReadOnlyList<Entry> entries) => $"[{string.Join(' ', entries.Select(entry => At(entry.Position) + entry.Kind switch
    {
        EntryKind.Blank => "",
        EntryKind.Membership => Membership.Read(entry.Payload).ToString(),
        _ => "=" + Encoding.UTF8.GetString(entry.Payload.Span),
    }))}]";

    private static ulong Number(string name) => ulong.Parse(name.AsSpan(1), CultureInfo.InvariantCulture);
}
