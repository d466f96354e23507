"""What will be learnt: read from the history or a file, told from its like, masked; what is left out, and why."""
