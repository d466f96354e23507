"""What it runs on: base models, where they come from, how a prompt is written for them, how an adapter is attached."""
