"""Whether what was taught is known: checks, what they are asked, and the line of an adapter's versions."""
