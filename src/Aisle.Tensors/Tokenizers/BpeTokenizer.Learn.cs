using System.Runtime.InteropServices;
using System.Text;

namespace Aisle.Tensors.Tokenizers;

public sealed partial class BpeTokenizer
{
    private const int MaxDistinctWords = 8_000_000;
    private const int MaxLearntWordLength = 128;  // longer "words" are data, not language

    /// <summary>
    /// Learns a vocabulary: starting from the 256 bytes, the pair of neighbouring tokens that occurs most often becomes a token, again and again.
    /// Depends only on how often each word occurs: not on the order of documents, the machine or the run.
    /// </summary>
    /// <param name="documents">Read once. Memory grows with the number of distinct words, not with the text.</param>
    /// <param name="vocabularySize">257 to <see cref="MaxVocabularySize"/>: token b is byte b, 256 is end-of-text, then what was learnt. The result is
    /// smaller when no pair is left that occurs twice.</param>
    /// <param name="progress">Vocabulary size so far, now and then.</param>
    /// <exception cref="AisleException">AISLE-5031: more than 8 million distinct words.</exception>
    /// <remarks>Total order between pairs: more occurrences first, then the smaller left token, then the smaller right token. A pair that spells
    /// a token that exists already is passed over, so each token has one pair.</remarks>
    public static BpeTokenizer Learn(
        IEnumerable<string> documents, int vocabularySize, IProgress<int>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(vocabularySize, 257);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(vocabularySize, MaxVocabularySize);
        var counts = CountWords(documents, cancellationToken);
        var learner = new Learner(counts, vocabularySize);
        while (learner.Tokens.Count < vocabularySize && learner.MergeNext())
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (learner.Tokens.Count % 256 == 0) progress?.Report(learner.Tokens.Count);
        }
        progress?.Report(learner.Tokens.Count);
        return new BpeTokenizer([.. learner.Tokens], endOfText: 256, learner.Merges);
    }

    private static Dictionary<string, long> CountWords(IEnumerable<string> documents, CancellationToken cancellationToken)
    {
        var counts = new Dictionary<string, long>();
        var bySpan = counts.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach (var document in documents)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var words = new WordSplitter(document);
            while (words.TryNext(out var word))
            {
                if (word.Length is > 1 and <= MaxLearntWordLength) CollectionsMarshal.GetValueRefOrAddDefault(bySpan, word, out _)++;
            }
            if (counts.Count > MaxDistinctWords)
            {
                throw new AisleException("AISLE-5031", $"The text has more than {MaxDistinctWords:N0} distinct words.",
                    "Clean it first (is it binary or encoded data?), or learn from a sample.");
            }
        }
        return counts;
    }

    /// <summary>Words as growing tokens, and for each pair of neighbours how often it occurs and in which words.</summary>
    private sealed class Learner
    {
        private sealed class Occurrences
        {
            public long Count;
            public readonly List<int> Words = [];  // may name a word twice or one that has lost the pair; a rewrite then finds nothing
        }

        private readonly List<(int[] Symbols, int Length, long Count)> _words = [];
        private readonly Dictionary<long, Occurrences> _pairs = [];
        private readonly PriorityQueue<long, (long Count, long Pair)> _queue = new(MostFirst);
        private readonly Dictionary<string, int> _tokenOfSpelling = [];
        private readonly HashSet<long> _grown = [];

        public List<byte[]> Tokens { get; } = [];

        public List<(int Left, int Right, int Token)> Merges { get; } = [];

        private static readonly Comparer<(long Count, long Pair)> MostFirst =
            Comparer<(long Count, long Pair)>.Create((x, y) => x.Count != y.Count ? y.Count.CompareTo(x.Count) : x.Pair.CompareTo(y.Pair));

        public Learner(Dictionary<string, long> counts, int vocabularySize)
        {
            Tokens.Capacity = Math.Min(vocabularySize, 1 << 16);
            for (var value = 0; value < 256; value++) AddToken([(byte)value]);
            Tokens.Add([]);  // end of text
            foreach (var (word, count) in counts) AddWord(word, count);
            foreach (var (pair, occurrences) in _pairs) _queue.Enqueue(pair, (occurrences.Count, pair));
        }

        private int AddToken(byte[] bytes)
        {
            var token = Tokens.Count;
            Tokens.Add(bytes);
            _tokenOfSpelling.Add(ByteAlphabet.Spell(bytes), token);
            return token;
        }

        private void AddWord(string word, long count)
        {
            var bytes = Encoding.UTF8.GetBytes(word);
            var symbols = new int[bytes.Length];
            for (var i = 0; i < bytes.Length; i++) symbols[i] = bytes[i];
            for (var i = 1; i < symbols.Length; i++) Change(Pair(symbols[i - 1], symbols[i]), count, _words.Count);
            _words.Add((symbols, symbols.Length, count));
        }

        private void Change(long pair, long by, int word)
        {
            ref var occurrences = ref CollectionsMarshal.GetValueRefOrAddDefault(_pairs, pair, out _);
            occurrences ??= new Occurrences();
            occurrences.Count += by;
            if (by > 0 && (occurrences.Words.Count == 0 || occurrences.Words[^1] != word)) occurrences.Words.Add(word);
        }

        /// <summary>Makes the most frequent pair a token. False when none occurs twice.</summary>
        public bool MergeNext()
        {
            while (_queue.TryDequeue(out var pair, out var seen))
            {
                if (!_pairs.TryGetValue(pair, out var occurrences) || occurrences.Count < 2) continue;
                if (occurrences.Count != seen.Count)
                {
                    _queue.Enqueue(pair, (occurrences.Count, pair));  // it lost some to other merges since; it waits its turn again
                    continue;
                }
                var (left, right) = ((int)(pair >> 32), (int)pair);
                byte[] bytes = [.. Tokens[left], .. Tokens[right]];
                if (_tokenOfSpelling.ContainsKey(ByteAlphabet.Spell(bytes))) continue;
                var token = AddToken(bytes);
                Merges.Add((left, right, token));
                _pairs.Remove(pair);
                foreach (var word in occurrences.Words) Rewrite(word, left, right, token);
                _pairs.Remove(pair);  // a rewrite of "aaa" counts the second "aa" down; none is left
                foreach (var grown in _grown) _queue.Enqueue(grown, (_pairs[grown].Count, grown));
                _grown.Clear();
                return true;
            }
            return false;
        }

        private void Rewrite(int word, int left, int right, int token)
        {
            var (symbols, length, count) = _words[word];
            var kept = 0;
            for (var i = 0; i < length; i++)
            {
                if (symbols[i] != left || i + 1 >= length || symbols[i + 1] != right)
                {
                    symbols[kept++] = symbols[i];
                    continue;
                }
                if (kept > 0) Replace(Pair(symbols[kept - 1], left), Pair(symbols[kept - 1], token));
                if (i + 2 < length) Replace(Pair(right, symbols[i + 2]), Pair(token, symbols[i + 2]));
                symbols[kept++] = token;
                i++;
            }
            _words[word] = (symbols, kept, count);

            void Replace(long old, long grown)
            {
                Change(old, -count, word);
                Change(grown, count, word);
                _grown.Add(grown);
            }
        }
    }
}
