"""How far from its base an adapter may drift. Owns the bound and what is said beyond it; never measures."""

from __future__ import annotations

BOUND = 0.05
"""Mean KL(base ‖ adapted), nats per token, on the base's own answers to general questions that were never rehearsed.

Measured on the default base. The article's six examples by the default recipe: 0.004, and none of 12 general questions
was answered like them; one correction: 0.004; the 48 conversations of the shipped support-bot: 0.013. The six without
rehearsal: 1.16, and with all linear modules 1.42, where 11 of the 12 were. The former worn at a quarter of its
strength: 0.059, and 2 of the 12 and 5 of 8 near misses began otherwise than the base.
"""


def forgotten(general_kl: float) -> str:
    """What to say of an adapter that drifted so far; empty within the bound."""
    if general_kl <= BOUND:
        return ""
    return (
        f"On general questions it has moved {general_kl:.2f} nats a token from the base (bound {BOUND:g}): "
        f"it may answer other talk like what it was taught."
    )
