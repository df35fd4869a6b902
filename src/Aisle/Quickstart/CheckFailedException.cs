namespace Aisle.Quickstart;

/// <summary>The quickstart saw something that must not be: the story stops and the exit code is 1.</summary>
internal sealed class CheckFailedException(string what, string next) : AisleException("AISLE-7070", what, next);
