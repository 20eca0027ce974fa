"""dep: personalise a frozen language model from what makes one user different from the others."""

__version__ = "0.1.0"
