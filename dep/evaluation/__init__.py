"""Computes metrics of generated texts, confidence intervals and significance tests."""
