"""How far from its base an adapter may drift. Owns the bound and what is said beyond it; never measures."""

from __future__ import annotations

BOUND = 0.25
"""Mean KL(base ‖ adapted), nats per token, on the base's own answers to general questions that were never rehearsed."""


def forgotten(general_kl: float) -> str:
    """What to say of an adapter that drifted so far; empty within the bound."""
    if general_kl <= BOUND:
        return ""
    return (
        f"On general questions it has moved {general_kl:.2f} nats a token from the base (bound {BOUND:g}): "
        f"it may answer other talk like what it was taught."
    )
