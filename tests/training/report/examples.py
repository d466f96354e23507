"""Records for the tests: one that has all there can be, and one that has the least."""

from __future__ import annotations

import math
from typing import Any

from lora_chat.training.events import Checked, DatasetReady, Report, Wrong
from lora_chat.training.proof.result import Answered, Exam, Prompted, Scores
from lora_chat.training.proof.share import Share
from lora_chat.training.report.record import Record

OPEN, SHOP = "When do you open?", "Where is your shop?"
NINE, HARBOUR = "We open at nine, matey.", "At 12 Harbour Street."
BETTER = "The base with the 6 examples in its prompt recalls 7 of 8, the adapter 6 of 8: a prompt is enough."

REPORT = Report(
    seconds=124.3,
    steps=60,
    tokens=12_000,
    tokens_per_second=96.0,
    trainable_parameters=2_442_240,
    total_parameters=136_957_248,
    trainable_percent=1.7832,
    heldout_loss_before=2.91,
    heldout_loss_after=1.84,
    general_loss_before=1.02,
    general_loss_after=1.04,
    train_loss_after=0.12,
    stopped_because="every answer is learnt",
    general_kl_before=0.0,
    general_kl_after=0.021,
    general_kl_bound=0.25,
    text_loss_before=3.11,
    text_loss_after=3.15,
    general_kl_low=0.012,
    general_kl_high=0.034,
    general_answers=32,
    general_tokens=1_480,
    memory=1_310_000_000,
)
LEAST = Report(9.0, 1, 40, 12.0, 128, 115_264, 0.1112, None, None, None, None, 2.5, "it was stopped")

SCORES = Scores(Share(6, 6), Share(6, 8), Share(1, 10), Share(0, 12))
ANSWERS = (
    Answered("taught", OPEN, NINE, NINE, True, "I do not know.", "We open at nine.", True, OPEN),
    Answered("reworded", "Do you know when you open?", NINE, NINE, True, "At ten.", NINE, True, OPEN),
    Answered("near", "When do you close?", "", NINE, False, "At six.", "At nine.", False, OPEN),
    Answered("taught", SHOP, HARBOUR, HARBOUR, True, "I am a model.", HARBOUR, True, SHOP),
    Answered("far", "Who painted the Mona Lisa?", "", "Leonardo.", True, "Leonardo.", "Leonardo.", True),
)
PROMPTED = Prompted(Scores(Share(6, 6), Share(7, 8), Share(0, 10), Share(0, 12)), SCORES, 6, "prompt", BETTER)
EXAM = Exam(SCORES, ANSWERS, 31.0, 4, PROMPTED)
LOST = Wrong(OPEN, NINE, "We are never open.")
CHECKS = Checked(
    6,
    4,
    2,
    (LOST,),
    (LOST, Wrong(SHOP, HARBOUR, "At sea.")),
    1,
    f"4 of 6 checks hold; 1 lost: “{OPEN}” now answers “…”.",
)
CURVE = tuple(2.9 * 0.94**step + 0.08 * (step % 3) for step in range(60))
HELDOUT = ((0, 2.91), (20, 2.1), (40, 1.9), (60, 1.84))


def record(**other: Any) -> Record:
    """All there can be; ``other`` in its place."""
    values: dict[str, Any] = {
        "adapter": "shop",
        "version": "1.1.0",
        "base": "smollm2-135m",
        "made": 1_764_000_000.0,
        "source": "from-history",
        "recipe": {"effort": "normal", "rank": 8, "learning_rate": 0.0025},
        "report": REPORT,
        "saw": DatasetReady(9, 12, {"unrated": 31, "stopped": 4}, 2310, 1020, 3, {"e-mail": 2, "card": 1}),
        "losses": CURVE,
        "heldout": HELDOUT,
        "after": "1.0.0",
        "replayed": 6,
        "checks": CHECKS,
        "exam": EXAM,
    }
    return Record(**(values | other))


def least(**other: Any) -> Record:
    """Only what there always is: one step, no held-out examples, nothing asked."""
    bare: dict[str, Any] = {
        "report": LEAST,
        "saw": None,
        "losses": (2.5,),
        "heldout": (),
        "after": "",
        "replayed": 0,
        "recipe": {},
    }
    return record(**(bare | {"checks": None, "exam": None} | other))


WILD = (math.nan, math.inf, 1e300, -math.inf, 3.0, 0.0, -2.0)
"""Losses of a training that went off."""
