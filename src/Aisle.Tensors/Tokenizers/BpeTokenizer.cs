using System.Runtime.InteropServices;
using System.Text;

namespace Aisle.Tensors.Tokenizers;

/// <summary>
/// Text to tokens and back: byte-level BPE, so any text has tokens and no text is lost. All members are safe to call from many threads.
/// </summary>
/// <remarks>Source: Sennrich et al. 2016 (byte pair encoding of words); Radford et al. 2019 (over bytes, with <see cref="WordSplitter"/>'s words).</remarks>
public sealed partial class BpeTokenizer
{
    /// <summary>How the special token that ends a document is written in files.</summary>
    public const string EndOfTextContent = "<|endoftext|>";

    /// <summary>Largest vocabulary that is learnt or loaded.</summary>
    public const int MaxVocabularySize = 1 << 20;

    private readonly byte[][] _bytes;                       // token → its bytes; the special token's are empty
    private readonly int[] _tokenOfByte = new int[256];
    private readonly (int Left, int Right)[] _merges;       // in the order learnt
    private readonly Dictionary<long, (int Rank, int Token)> _mergeOfPair;
    private readonly CachedWord?[] _cache = new CachedWord?[1 << 15];   // direct-mapped: bounded, and a lost race only costs a recomputation
    private const int MaxCachedWordLength = 32;

    private sealed record CachedWord(string Word, int[] Tokens);

    /// <param name="bytes">Each token's bytes by id; all single bytes are there, and the end-of-text token's are empty.</param>
    /// <param name="merges">In order of preference; each pair once, and each result is a token.</param>
    internal BpeTokenizer(byte[][] bytes, int endOfText, IReadOnlyList<(int Left, int Right, int Token)> merges)
    {
        _bytes = bytes;
        EndOfText = endOfText;
        _merges = [.. merges.Select(merge => (merge.Left, merge.Right))];
        _mergeOfPair = new(merges.Count);
        for (var rank = 0; rank < merges.Count; rank++) _mergeOfPair.Add(Pair(merges[rank].Left, merges[rank].Right), (rank, merges[rank].Token));
        for (var token = 0; token < bytes.Length; token++)
        {
            if (bytes[token] is [var value]) _tokenOfByte[value] = token;
        }
    }

    public int VocabularySize => _bytes.Length;

    internal IReadOnlyList<(int Left, int Right)> Merges => _merges;

    /// <summary>The token that separates documents. Text never turns into it by itself.</summary>
    public int EndOfText { get; }

    /// <summary>Tokens of a text. <c>&lt;|endoftext|&gt;</c> inside it is ordinary text, so nobody's text can end a document.</summary>
    /// <remarks>Half a surrogate pair, which is not text, becomes U+FFFD.</remarks>
    public int[] Encode(string text)
    {
        var tokens = new List<int>(text.Length / 3 + 4);
        Encode(text, tokens);
        return [.. tokens];
    }

    /// <summary>Appends the tokens of a text to <paramref name="tokens"/>.</summary>
    public void Encode(ReadOnlySpan<char> text, List<int> tokens)
    {
        var words = new WordSplitter(text);
        while (words.TryNext(out var word)) EncodeWord(word, tokens);
    }

    /// <summary>Like <see cref="Encode(string)"/>, but <c>&lt;|endoftext|&gt;</c> becomes <see cref="EndOfText"/>. For text the caller wrote, never for a user's.</summary>
    public int[] EncodeWithSpecialTokens(string text)
    {
        var tokens = new List<int>(text.Length / 3 + 4);
        var rest = text.AsSpan();
        while (rest.IndexOf(EndOfTextContent) is var at and >= 0)
        {
            Encode(rest[..at], tokens);
            tokens.Add(EndOfText);
            rest = rest[(at + EndOfTextContent.Length)..];
        }
        Encode(rest, tokens);
        return [.. tokens];
    }

    /// <summary>Text of tokens; the end-of-text token adds nothing. Tokens cut in the middle of a character give U+FFFD there.</summary>
    /// <exception cref="AisleException">AISLE-5030: not a token of this vocabulary.</exception>
    public string Decode(ReadOnlySpan<int> tokens)
    {
        var bytes = new List<byte>(tokens.Length * 4);
        foreach (var token in tokens) bytes.AddRange(BytesOf(token));
        return Encoding.UTF8.GetString(CollectionsMarshal.AsSpan(bytes));
    }

    /// <summary>A token's UTF-8 bytes, which may be part of a character: stream them through <see cref="Encoding.GetDecoder"/>. Empty for end-of-text.</summary>
    /// <exception cref="AisleException">AISLE-5030: not a token of this vocabulary.</exception>
    public ReadOnlySpan<byte> BytesOf(int token) => (uint)token < (uint)_bytes.Length
        ? _bytes[token]
        : throw new AisleException("AISLE-5030", $"Token {token} is outside this vocabulary of {_bytes.Length}.", "Use the tokenizer that made the tokens.");

    private void EncodeWord(ReadOnlySpan<char> word, List<int> tokens)
    {
        if (word.Length > MaxCachedWordLength)
        {
            tokens.AddRange(Merge(word));
            return;
        }
        ref var slot = ref _cache[string.GetHashCode(word) & (_cache.Length - 1)];
        var cached = slot;
        if (cached is null || !word.SequenceEqual(cached.Word)) slot = cached = new CachedWord(word.ToString(), Merge(word));
        tokens.AddRange(cached.Tokens);
    }

    // The pair learnt first merges first, the leftmost of equals. A queue rather than a scan, so that one word of a million letters is no trap.
    private int[] Merge(ReadOnlySpan<char> word)
    {
        var bytes = new byte[Encoding.UTF8.GetMaxByteCount(word.Length)];
        var length = Encoding.UTF8.GetBytes(word, bytes);
        var (symbols, next, previous) = (new int[length], new int[length], new int[length]);
        var queue = new PriorityQueue<(int At, int Left, int Right, int Token), long>();
        for (var i = 0; i < length; i++)
        {
            (symbols[i], next[i], previous[i]) = (_tokenOfByte[bytes[i]], i + 1, i - 1);
            if (i > 0) Enqueue(i - 1, i);
        }
        var count = length;
        while (queue.TryDequeue(out var pair, out _))
        {
            if (symbols[pair.At] != pair.Left || next[pair.At] is var right && (right >= length || symbols[right] != pair.Right)) continue;  // merged meanwhile
            symbols[pair.At] = pair.Token;
            symbols[right] = -1;
            next[pair.At] = next[right];
            if (next[pair.At] < length)
            {
                previous[next[pair.At]] = pair.At;
                Enqueue(pair.At, next[pair.At]);
            }
            if (previous[pair.At] >= 0) Enqueue(previous[pair.At], pair.At);
            count--;
        }
        var tokens = new int[count];
        for (int i = 0, at = 0; at < length; at = next[at]) tokens[i++] = symbols[at];
        return tokens;

        void Enqueue(int at, int right)
        {
            if (_mergeOfPair.TryGetValue(Pair(symbols[at], symbols[right]), out var merge))
            {
                queue.Enqueue((at, symbols[at], symbols[right], merge.Token), ((long)merge.Rank << 32) | (uint)at);
            }
        }
    }

    private static long Pair(int left, int right) => ((long)left << 32) | (uint)right;
}
