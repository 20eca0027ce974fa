"""The stages of a run in order: prepare, embed, train, generate, evaluate.

Each stage skips finished work, continues where it was interrupted, and prints what it did and where it wrote. What
several arms need (reviews, vectors, backbone) is loaded only once, in `Resources`.
"""
