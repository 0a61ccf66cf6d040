"""From collected results to figures, tables, claims and pages. Trains nothing."""
