"""The terminal UI. Owns the screen; everything it does is asked of a sitting."""
