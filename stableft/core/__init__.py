"""Core: configuration, techniques, grids, seeds and schedules of runs. No torch, no pandas."""
