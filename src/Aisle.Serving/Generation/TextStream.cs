using System.Collections.Immutable;
using System.Text;

namespace Aisle.Serving;

/// <summary>Turns tokens' bytes into text that may be shown at once: holds back half a character, and what may be the start of a stop text.</summary>
internal sealed class TextStream(ImmutableArray<string> stops)
{
    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();
    private string _held = "";

    /// <summary>Whether a stop text came up. Nothing more is given after it.</summary>
    public bool Stopped { get; private set; }

    /// <summary>What of the text so far is certain and not given before.</summary>
    public string Add(ReadOnlySpan<byte> bytes) => Release(Decode(bytes, flush: false), last: false);

    /// <summary>What was held back when no stop text came of it. A character that never got its end becomes U+FFFD.</summary>
    public string Finish() => Release(Decode([], flush: true), last: true);

    private string Decode(ReadOnlySpan<byte> bytes, bool flush)
    {
        var text = new char[_decoder.GetCharCount(bytes, flush)];
        return new string(text, 0, _decoder.GetChars(bytes, text, flush));
    }

    private string Release(string added, bool last)
    {
        if (Stopped) return "";
        var text = _held + added;
        _held = "";
        var at = stops.Select(stop => text.IndexOf(stop, StringComparison.Ordinal)).Where(i => i >= 0).DefaultIfEmpty(-1).Min();
        if (at >= 0)
        {
            Stopped = true;
            return text[..at];
        }

        var keep = last ? 0 : LongestStart(text);
        _held = text[(text.Length - keep)..];
        return text[..(text.Length - keep)];
    }

    // Characters at the end that a stop text may begin with.
    private int LongestStart(string text)
    {
        var most = 0;
        foreach (var stop in stops)
        {
            for (var length = Math.Min(stop.Length - 1, text.Length); length > most; length--)
            {
                if (text.AsSpan(text.Length - length).SequenceEqual(stop.AsSpan(0, length))) most = length;
            }
        }

        return most;
    }
}
