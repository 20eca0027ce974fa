"""What a language model writes about a user before it writes for them (PAG, DPL)."""
