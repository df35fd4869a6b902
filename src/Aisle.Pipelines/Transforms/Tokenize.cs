using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Aisle.Tensors.Tokenizers;

namespace Aisle.Pipelines;

/// <summary>
/// Documents to <c>train.u16</c> and <c>validation.u16</c> (little-endian 16-bit tokens, end-of-text after each document), <c>tokens.json</c>
/// with the figures, and the <c>tokenizer.json</c> they were made with.
/// </summary>
internal static class Tokenize
{
    public static void Run(TransformRun run)
    {
        var vocabulary = Path.Combine(run.InputFolder("vocabulary"), BpeTokenizer.FileName);
        var tokenizer = BpeTokenizer.Load(vocabulary);
        if (tokenizer.VocabularySize > ushort.MaxValue)
        {
            throw new AisleException("AISLE-4014", $"The vocabulary has {tokenizer.VocabularySize:N0} tokens; 16 bits hold {ushort.MaxValue:N0}.",
                "Learn a smaller one: `learn-vocabulary` with a smaller `size`.");
        }
        var folder = run.OutputFolder("tokens");
        var held = run.Number("validation");
        using var train = new TokenFile(Path.Combine(folder, "train.u16"));
        using var validation = new TokenFile(Path.Combine(folder, "validation.u16"));
        var tokens = new List<int>();
        foreach (var document in run.Read("documents"))
        {
            tokens.Clear();
            tokenizer.Encode(document.Text, tokens);
            tokens.Add(tokenizer.EndOfText);
            var text = Encoding.UTF8.GetBytes(document.Text);
            (IsHeldOut(run.Seed, text, held) ? validation : train).Write(tokens, text.Length);
            run.Keep();
        }
        if (train.Tokens == 0) throw new AisleException("AISLE-4015", "No document is left to train on.", "Look at the counts of the steps before: what was filtered, and why?");
        tokenizer.Save(Path.Combine(folder, BpeTokenizer.FileName));
        WriteFigures(Path.Combine(folder, "tokens.json"), tokenizer, train, validation);
        run.Note("trainTokens", train.Tokens);
        run.Note("validationTokens", validation.Tokens);
    }

    // A document's own hash decides, so no other document, no order and no machine changes which side it is on.
    private static bool IsHeldOut(ulong seed, byte[] text, double share)
    {
        Span<byte> keyed = stackalloc byte[8 + SHA256.HashSizeInBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(keyed, seed);
        SHA256.HashData(text, keyed[8..]);
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(keyed, hash);
        return BinaryPrimitives.ReadUInt64LittleEndian(hash) < share * Math.Pow(2, 64);
    }

    private static void WriteFigures(string path, BpeTokenizer tokenizer, TokenFile train, TokenFile validation)
    {
        using var file = File.Create(path);
        using var json = new Utf8JsonWriter(file, new JsonWriterOptions { Indented = true, NewLine = "\n" });
        json.WriteStartObject();
        json.WriteNumber("vocabularySize", tokenizer.VocabularySize);
        json.WriteNumber("endOfText", tokenizer.EndOfText);
        json.WriteNumber("trainDocuments", train.Documents);
        json.WriteNumber("trainTokens", train.Tokens);
        json.WriteNumber("trainBytes", train.TextBytes);
        json.WriteNumber("validationDocuments", validation.Documents);
        json.WriteNumber("validationTokens", validation.Tokens);
        json.WriteNumber("validationBytes", validation.TextBytes);
        json.WriteEndObject();
    }

    private sealed class TokenFile(string path) : IDisposable
    {
        private readonly FileStream _file = new(path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 1 << 17);
        private byte[] _bytes = [];

        public long Documents { get; private set; }

        /// <summary>End-of-text tokens included.</summary>
        public long Tokens { get; private set; }

        /// <summary>UTF-8 bytes of the documents alone.</summary>
        public long TextBytes { get; private set; }

        public void Write(List<int> tokens, int textBytes)
        {
            if (_bytes.Length < tokens.Count * 2) _bytes = new byte[tokens.Count * 4];
            for (var i = 0; i < tokens.Count; i++) BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(i * 2), (ushort)tokens[i]);
            _file.Write(_bytes, 0, tokens.Count * 2);
            Documents++;
            Tokens += tokens.Count;
            TextBytes += textBytes;
        }

        public void Dispose() => _file.Dispose();
    }
}
