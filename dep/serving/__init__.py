"""Serves a finished run: to other programs by OpenAI's API, and to people on a page."""
