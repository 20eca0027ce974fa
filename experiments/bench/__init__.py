"""Benchmarks: each times the package against a stated alternative in the same process."""
