"""From an encoder's files to logits: architectures, heads, packed attention, tokens."""
