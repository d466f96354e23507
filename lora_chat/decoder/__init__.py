"""The fast path: one token of a Llama-shaped base, with an adapter on, as fast as the machine reads its weights."""
