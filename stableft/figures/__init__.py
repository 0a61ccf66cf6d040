"""Figures. One file per kind: ``data(results)`` returns exactly the numbers that ``plot(results)`` draws."""
