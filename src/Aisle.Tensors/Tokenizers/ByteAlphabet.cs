using System.Collections.Frozen;

namespace Aisle.Tensors.Tokenizers;

/// <summary>
/// The 256 printable letters that stand for the 256 bytes in a <c>tokenizer.json</c>: printable Latin-1 stands for itself, the other 68
/// bytes for U+0100 upwards (a blank is <c>Ġ</c>). A file of tokens is then plain text without blanks, whatever bytes a token holds.
/// </summary>
/// <remarks>Source: <c>bytes_to_unicode</c> of GPT-2 (Radford et al. 2019), which every byte-level tokenizer file since has kept.</remarks>
internal static class ByteAlphabet
{
    private static readonly char[] LetterOfByte = Letters();
    private static readonly FrozenDictionary<char, byte> ByteOfLetter = LetterOfByte.Select((letter, value) => (letter, value))
        .ToFrozenDictionary(pair => pair.letter, pair => (byte)pair.value);

    public static string Spell(ReadOnlySpan<byte> bytes)
    {
        var letters = new char[bytes.Length];
        for (var i = 0; i < bytes.Length; i++) letters[i] = LetterOfByte[bytes[i]];
        return new string(letters);
    }

    /// <summary>False when a letter stands for no byte.</summary>
    public static bool TryRead(string letters, out byte[] bytes)
    {
        bytes = new byte[letters.Length];
        for (var i = 0; i < letters.Length; i++)
        {
            if (!ByteOfLetter.TryGetValue(letters[i], out bytes[i])) return false;
        }
        return true;
    }

    private static char[] Letters()
    {
        var letters = new char[256];
        var next = (char)0x100;
        for (var value = 0; value < 256; value++)
        {
            var printable = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
            letters[value] = printable ? (char)value : next++;
        }
        return letters;
    }
}
