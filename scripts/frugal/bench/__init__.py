"""Benchmarks of `make bench`: ratios within one run on this machine, each next to the target it has to meet."""
