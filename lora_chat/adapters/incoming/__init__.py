"""How an adapter gets in: opened, unpacked or fetched into quarantine, and shown before it is installed."""
