"""How an adapter is made: chosen turns become examples, examples become a trained adapter, that goes through the door."""
