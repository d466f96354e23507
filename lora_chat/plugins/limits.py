"""How long a plugin may take. Owns the seconds, each without a sign of life; the person's own time never counts."""

from __future__ import annotations

START_S = 20.0
"""To be imported and to register what it has."""
SNIFF_S = 5.0
"""To say whether a file is its own."""
STEP_S = 20.0
"""From one conversation or piece of text to the next."""
FILTER_S = 5.0
"""To say whether one example is kept."""
PLAN_S = 60.0
"""For a filter to look at all examples of a plan in the chat, which waits for it; the command line has all the time."""
FETCH_S = 60.0
"""From one sign of life of a model source to the next: what it yields, or a file of the model that has grown."""
CLOSE_S = 6.0
"""For an engine to give back what it holds elsewhere, once the program leaves it."""
