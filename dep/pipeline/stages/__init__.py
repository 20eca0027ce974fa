"""The stages of a run, from reviews to scores: prepare, embed, train, generate, evaluate.

Each prints what it did and where it wrote, finds what is already done, and goes on where it was interrupted. What
several arms need (data, vectors, backbone) is made once and kept in a `Shared`.
"""
