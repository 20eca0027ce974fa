"""Profiles are descriptions of a user that a language model writes before it writes the review (PAG, DPL)."""
