"""Techniques: what is changed about a run before its first step. One final class in each file; the folder is the registry.

Listing and planning stay light: torch is imported where a technique is applied, not where its module is.
"""
