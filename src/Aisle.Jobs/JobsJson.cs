using System.Text.Json.Serialization;

namespace Aisle.Jobs;

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UseStringEnumConverter = true,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(JobSpec))]
[JsonSerializable(typeof(ProcessStart))]
[JsonSerializable(typeof(ProcessMessage))]
[JsonSerializable(typeof(AgentReport))]
[JsonSerializable(typeof(AgentOrders))]
[JsonSerializable(typeof(OrdersVersion))]
public sealed partial class JobsJson : JsonSerializerContext;
