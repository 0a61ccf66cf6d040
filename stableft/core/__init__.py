"""What a run is: configuration, techniques, grids, seeds and schedules. No torch, no pandas."""
