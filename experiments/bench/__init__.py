"""Benchmarks; each times the package against an alternative, in the same process."""
