"""What a training did, kept and shown: the record and its forms."""
