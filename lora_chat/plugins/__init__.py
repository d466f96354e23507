"""How others join in: code that the person agreed to, each plugin in a process of its own.

``api`` is all that a plugin may use. ``finding`` says which there are, ``trust`` which of them were agreed to,
``manager`` runs those. Nothing here runs a line of a plugin in the program's own process.
"""
