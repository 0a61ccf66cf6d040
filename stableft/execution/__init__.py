"""From a grid to finished runs: plan, processes, backends, provenance."""
