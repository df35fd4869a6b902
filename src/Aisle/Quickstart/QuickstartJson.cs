using System.Text.Json.Serialization;
using Aisle.Up;

namespace Aisle.Quickstart;

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(UpReady))]
internal sealed partial class QuickstartJson : JsonSerializerContext;
