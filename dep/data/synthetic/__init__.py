"""The built-in world: synthetic reviews by users whose traits are known, in the schema of Amazon Reviews 2023."""
