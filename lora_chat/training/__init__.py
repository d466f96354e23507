"""How an adapter is made: chosen turns become examples, examples become an adapter, which goes through the door."""
