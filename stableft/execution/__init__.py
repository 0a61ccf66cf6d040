"""Execution: from a grid to finished runs, with planning, processes, backends and provenance."""
