"""Backends: how many runs are done at a time, and where."""
