namespace Aisle.Serving;

/// <summary>A request that is answered with an error in OpenAI's shape.</summary>
/// <param name="status">HTTP status.</param>
/// <param name="what">What is wrong, with its values.</param>
/// <param name="next">What to send instead.</param>
/// <param name="parameter">The field at fault, if it is one.</param>
/// <param name="kind">OpenAI's error code, e.g. <c>model_not_found</c>.</param>
public sealed class RequestRefusedException(int status, string what, string next, string? parameter = null, string? kind = null)
    : AisleException("AISLE-6001", what, next)
{
    public int Status { get; } = status;

    public string? Parameter { get; } = parameter;

    public string? Kind { get; } = kind;
}
