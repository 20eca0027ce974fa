"""The built-in world: reviews whose truth is known, in the raw schema of Amazon Reviews 2023."""
