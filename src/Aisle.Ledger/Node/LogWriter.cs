using System.Collections.Concurrent;
using Aisle.Ledger.Consensus;
using Aisle.Ledger.Log;

namespace Aisle.Ledger.Node;

/// <summary>
/// A member's disk, on a thread of its own, so that time and messages never wait for it (Rule 6). What waits shares one write and one flush; then the messages
/// that promise it leave. The first failure is final.
/// </summary>
internal sealed class LogWriter
{
    private const int MostAtOnce = 1024;

    // No bound of its own: the core bounds what is uncommitted, and the leader's window what is on its way here.
    private readonly BlockingCollection<object> _work = [];
    private readonly WriteAheadLog _log;
    private readonly ILedgerDisk _disk;
    private readonly Action<Message> _send;
    private readonly Action<LogPosition> _persisted;
    private readonly Action<Exception> _failed;
    private readonly Thread _thread;
    private readonly List<Persist> _batch = [];

    /// <param name="send">Called by the writing thread, as are the others.</param>
    /// <param name="persisted">Told the completion of each write, in order.</param>
    public LogWriter(WriteAheadLog log, ILedgerDisk disk, Action<Message> send, Action<LogPosition> persisted, Action<Exception> failed)
    {
        (_log, _disk, _send, _persisted, _failed) = (log, disk, send, persisted, failed);
        _thread = new Thread(Run) { IsBackground = true, Name = "ledger log" };
        _thread.Start();
    }

    public void Add(Persist persist) => _work.Add(persist);

    /// <summary>A snapshot is on the disk: the log is cut behind all that was added before this.</summary>
    /// <param name="keepFrom">Of an older snapshot: it, and the log after it, stay.</param>
    public void Cut(LogPosition snapshot, long keepFrom) => _work.Add(new Cutting(snapshot, keepFrom));

    /// <summary>Writes what was added, then ends.</summary>
    public void Stop()
    {
        _work.CompleteAdding();
        _thread.Join();
    }

    private void Run()
    {
        try
        {
            foreach (var work in _work.GetConsumingEnumerable())
            {
                var next = work;
                do
                {
                    if (next is Persist persist) Append(persist);
                    else
                    {
                        Flush();
                        Do((Cutting)next);
                    }
                }
                while (_batch.Count < MostAtOnce && _work.TryTake(out next));
                Flush();
                if (_work.Count == 0) _log.Seal();
            }
        }
        catch (Exception e)
        {
            _failed(e);   // whatever it is, the next write could build on one that never reached the disk
        }
    }

    private void Append(Persist persist)
    {
        if (persist.Base is { } snapshot)
        {
            _log.Append(persist.State, null, []);
            _log.Mark(snapshot);
            _log.Append(null, persist.TruncateFrom == 0 ? null : persist.TruncateFrom, persist.Entries);
        }
        else if (!persist.WritesNothing) _log.Append(persist.State, persist.TruncateFrom == 0 ? null : persist.TruncateFrom, persist.Entries);
        _batch.Add(persist);
    }

    private void Flush()
    {
        if (_batch.Count == 0) return;
        _log.Flush();
        foreach (var persist in _batch)
        {
            foreach (var message in persist.Release) _send(message);
            _persisted(persist.Completion);
        }
        _batch.Clear();
    }

    private void Do(Cutting cut)
    {
        _log.Mark(cut.Snapshot);
        _log.CutThrough(cut.KeepFrom);
        SnapshotFiles.DeleteBefore(_disk, cut.KeepFrom);
    }

    private sealed record Cutting(LogPosition Snapshot, long KeepFrom);
}
