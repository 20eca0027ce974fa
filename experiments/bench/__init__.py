"""How much faster than what people do: each benchmark against a stated alternative, in one process."""
