"""Training: from a configuration to rows and predictions, with evaluation and checkpoints."""
