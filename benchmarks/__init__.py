"""One scenario per file; results with machine and commit in `benchmarks/results`."""
