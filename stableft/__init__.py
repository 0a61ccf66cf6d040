"""stableft: why fine-tuning BERT on small data is unstable, and what fixes it, as experiments that run on your own machine."""

__version__ = "0.1.0"
