"""What the screens are made of: each widget shows a value and posts a message."""
