"""Training on the fast path's own weights: Llama-shaped bases on the CPU, without transformers and PEFT."""
