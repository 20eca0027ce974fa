"""The store of a live service: reviews, their vectors, and what is needed to compare each with its peers."""
