"""Strict readers of corpora, of users' files and of docstrings."""
