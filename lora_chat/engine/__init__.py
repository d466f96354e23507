"""How words are made: one protocol, implemented in this process, in a spawned one, and by a scripted fake."""
