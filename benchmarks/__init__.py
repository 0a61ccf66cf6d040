"""What the engine is worth: `python -m benchmarks` measures it beside the Hugging Face Trainer on the machine at hand."""
