"""Judges predictions of any system on the requests of a finished run (`dep judge`)."""
