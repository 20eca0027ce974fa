"""DEP's user encoder: soft tokens from the vectors and differences of a user's whole past."""
