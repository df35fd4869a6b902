using Aisle.Tensors.Tokenizers;

namespace Aisle.Pipelines;

/// <summary>A byte-level BPE tokenizer from documents, as <c>tokenizer.json</c>.</summary>
internal static class LearnVocabulary
{
    public static void Run(TransformRun run)
    {
        var tokenizer = BpeTokenizer.Learn(Texts(), (int)run.Integer("size"), cancellationToken: run.CancellationToken);
        tokenizer.Save(Path.Combine(run.OutputFolder("vocabulary"), BpeTokenizer.FileName));
        run.Note("vocabularySize", tokenizer.VocabularySize);

        IEnumerable<string> Texts()
        {
            foreach (var document in run.Read("documents"))
            {
                yield return document.Text;
                run.Keep();
            }
        }
    }
}
