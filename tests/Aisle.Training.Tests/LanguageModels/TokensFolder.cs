using System.Buffers.Binary;
using Aisle.Training.LanguageModels;

namespace Aisle.Training.Tests.LanguageModels;

/// <summary>Tokens that can be learnt: each follows from the one before, up to a little chance.</summary>
internal static class TokensFolder
{
    public const int Vocabulary = 64;

    /// <param name="factor">Another one makes another text.</param>
    /// <returns>The folder <c>tokens</c> inside <paramref name="under"/>.</returns>
    public static string Write(string under, int factor = 5)
    {
        var folder = Directory.CreateDirectory(Path.Combine(under, "tokens")).FullName;
        Write("train.u16", 6000, seed: 1);
        Write("validation.u16", 700, seed: 2);
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), "{}");
        File.WriteAllText(
            Path.Combine(folder, TokensDescription.FileName),
            $$"""{"vocabularySize": {{Vocabulary}}, "endOfText": 0, "trainTokens": 6000, "validationTokens": 700, "validationBytes": 2100}""");
        return folder;

        void Write(string name, int count, int seed)
        {
            var random = new Random(seed);
            var bytes = new byte[count * 2];
            var token = 1;
            for (var i = 0; i < count; i++)
            {
                token = (token * factor + random.Next(3)) % Vocabulary;
                BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(i * 2), (ushort)token);
            }
            File.WriteAllBytes(Path.Combine(folder, name), bytes);
        }
    }
}
