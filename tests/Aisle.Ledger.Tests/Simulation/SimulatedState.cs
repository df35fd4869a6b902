using System.Buffers.Binary;

namespace Aisle.Ledger.Tests.Simulation;

/// <summary>A small state machine: keys, a session for each client with the newest sequence and its answer, and a digest over all that was ever applied.</summary>
internal sealed class SimulatedState
{
    public const int Keys = 4;
    public const int Clients = 3;

    private readonly long[] _values = new long[Keys];
    private readonly long[] _sequences = new long[Clients];
    private readonly long[] _answers = new long[Clients];

    /// <summary>Index of the entry applied last.</summary>
    public long Applied { get; private set; }

    public ulong Digest { get; private set; }

    public long ValueOf(int key) => _values[key];

    public long SequenceOf(int client) => _sequences[client];

    /// <summary>Where the newest command of a client took effect.</summary>
    public long AnswerOf(int client) => _answers[client];

    public static byte[] Command(int client, long sequence, int key)
    {
        var bytes = new byte[10];
        bytes[0] = (byte)client;
        bytes[1] = (byte)key;
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(2), sequence);
        return bytes;
    }

    public void Apply(Aisle.Ledger.Consensus.Entry entry)
    {
        if (entry.Index != Applied + 1) throw new BrokenPromiseException($"entry {entry.Index} is applied after entry {Applied}");
        Applied = entry.Index;
        var mixed = Digest ^ (ulong)entry.Term * 0x9E3779B97F4A7C15 ^ (ulong)entry.Kind << 56;
        foreach (var value in entry.Payload.Span) mixed = (mixed ^ value) * 0x100000001B3;
        Digest = (mixed ^ (mixed >> 29)) * 0xBF58476D1CE4E5B9 + 1;
        if (entry.Kind != Aisle.Ledger.Consensus.EntryKind.Commands) return;
        var (client, key) = (entry.Payload.Span[0], entry.Payload.Span[1]);
        var sequence = BinaryPrimitives.ReadInt64LittleEndian(entry.Payload.Span[2..]);
        if (sequence <= _sequences[client]) return;   // a retry
        _sequences[client] = sequence;
        _answers[client] = entry.Index;
        _values[key] = client * 1_000_000L + sequence;
    }

    public byte[] ToBytes()
    {
        var bytes = new byte[8 * (2 + Keys + 2 * Clients)];
        var at = 0;
        foreach (var value in (long[])[Applied, (long)Digest, .. _values, .. _sequences, .. _answers])
        {
            BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(8 * at++), value);
        }
        return bytes;
    }

    public static SimulatedState Read(ReadOnlySpan<byte> bytes)
    {
        var state = new SimulatedState { Applied = BinaryPrimitives.ReadInt64LittleEndian(bytes), Digest = BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]) };
        var at = 2;
        foreach (var array in (long[][])[state._values, state._sequences, state._answers])
        {
            for (var i = 0; i < array.Length; i++) array[i] = BinaryPrimitives.ReadInt64LittleEndian(bytes[(8 * at++)..]);
        }
        return state;
    }
}

/// <summary>Something that must never happen has happened.</summary>
internal sealed class BrokenPromiseException(string what) : Exception(what);
