"""Serves a finished run to other programs and to people."""
