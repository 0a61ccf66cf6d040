"""Experiments, one question per file: ``grid`` defines the runs, ``REPORT`` the figures and tables."""
