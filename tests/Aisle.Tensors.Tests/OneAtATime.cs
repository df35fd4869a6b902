// Memory and tensor counts belong to the whole process, so tests that watch them run alone.
[assembly: Xunit.v3.Parallelization(Mode = Xunit.Sdk.ParallelMode.None)]
