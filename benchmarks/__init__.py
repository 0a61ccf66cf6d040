"""Benchmarks: `python -m benchmarks` compares the engine with the Hugging Face Trainer."""
