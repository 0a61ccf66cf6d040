"""Backends: run several jobs at a time, on this machine or on a cluster."""
