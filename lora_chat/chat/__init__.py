"""What was said: conversations, messages and where they are kept."""
