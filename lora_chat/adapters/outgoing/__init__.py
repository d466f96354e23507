"""How an adapter gets out: packed, exported, and what is written on it."""
