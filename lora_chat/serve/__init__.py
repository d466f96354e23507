"""The OpenAI-compatible server. Owns HTTP and the line before the one engine; never saves what is said."""
