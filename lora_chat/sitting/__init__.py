"""One sitting at the program: what is open, worn and trained, and the commands that change it. Knows no screen."""
