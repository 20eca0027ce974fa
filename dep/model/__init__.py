"""Compressor, projector, soft prompt, frozen backbone, training and generation."""
