// Memory and tensor counts belong to the whole process, so tests that watch them run alone.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
