"""Metrics of generated texts, confidence intervals and significance tests."""
