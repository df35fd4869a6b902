namespace Aisle.Monitoring;

/// <summary>Where one worker's step went, in microseconds by its own clock; the first four follow one another and make up the whole step.</summary>
/// <param name="PlanMicros">From the state before to the first slice: waiting until everyone is there and the step is planned.</param>
/// <param name="ComputeMicros">In slices: forward and backward.</param>
/// <param name="ExchangeMicros">Folding, handing on and waiting until every shard of the mean gradient is here, as far as nothing was computed meanwhile.</param>
/// <param name="ApplyMicros">The optimiser's update and the hash of the new weights.</param>
/// <param name="SaveMicros">Copying the state aside for a checkpoint or a learner, within the others; writing happens beside the step.</param>
/// <param name="Slices">Computed for this step.</param>
public readonly record struct StepTimes(long PlanMicros, long ComputeMicros, long ExchangeMicros, long ApplyMicros, long SaveMicros, int Slices)
{
    public long TotalMicros => PlanMicros + ComputeMicros + ExchangeMicros + ApplyMicros;
}
