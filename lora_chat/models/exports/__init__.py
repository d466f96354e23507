"""How an adapter leaves for other programs. Owns nothing itself: one form a file, as ``sources`` is the way in."""
