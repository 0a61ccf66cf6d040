"""Models: architectures, tokens, heads and packed attention, from an encoder's files to logits."""
