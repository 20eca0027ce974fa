"""The stages of a run, from reviews to scores: prepare, embed, train, generate, evaluate.

Each stage prints what it did and where it wrote, skips finished work, and continues where it was interrupted. Content
that several arms need (data, vectors, backbone) is loaded once, in `Resources`.
"""
