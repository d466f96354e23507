"""The ways servers differ. Owns nothing itself: one file for each."""
