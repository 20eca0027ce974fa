"""Profiles: texts about a user that a language model writes before it writes the review (PAG, DPL)."""
