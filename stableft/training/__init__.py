"""From a configuration to rows and predictions: set-up, loop, optimizer, evaluation, checkpoints."""
