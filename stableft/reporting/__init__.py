"""Reporting: turns collected results into figures, tables, claims and pages. Trains nothing."""
