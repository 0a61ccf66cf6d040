"""Techniques: changes of a run's setup before its first step.

Each file has one final class, and the folder is the registry. Listing and planning stay light: a
technique's module does not import torch until the technique is applied.
"""
