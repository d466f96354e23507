"""The rules by which private data is known. Owns what proves each kind; never replaces anything."""
