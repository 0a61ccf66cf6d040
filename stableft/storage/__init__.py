"""The results folder: run records, collected tables, run states."""
