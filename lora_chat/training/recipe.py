"""How much, how fast, how long. Owns the hyperparameters and the one rule that chooses them; never trains.

Handfuls and collections want different things: a few large steps that end when every answer is learnt, or epochs that
end when held-out examples get worse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from lora_chat.adapters.signature import BaseSignature

Effort = Literal["light", "normal", "deep"]
Targets = Literal["mlp", "attention", "all"]

HANDFUL = 30
"""Fewer lessons than this are a handful: none is held out, and their own loss says when they are learnt."""


LONG = 384
"""Tokens of a forward from which on it keeps only what goes into each layer, and makes the rest again."""


@dataclass(frozen=True)
class Recipe:
    """Every number of a training. All of it is printed, stored in the job and in the adapter."""

    effort: Effort
    targets: Targets
    """Which linear modules are adapted. MLP-only forgets less at the same parameter count (PEFT's own benchmark)."""
    rank: int
    alpha: int
    learning_rate: float
    warmup_steps: int
    max_steps: int
    batch: int
    """Lessons per step."""
    rehearsed: int
    """The base's own answers to general questions per step, which the adapter is held to."""
    rehearsal_weight: float
    """Of the KL divergence from the base on those, beside the mean loss of the lessons.

    Measured on one correction and 14 unrelated questions: at 10, 3 answers stayed the same to the letter, at 30, 6;
    steps needed 16 and 17, all five paraphrases right at both.
    """
    settle_steps: int
    """Steps after everything is learnt, with falling rate, in which it drifts back to the base elsewhere."""
    learnt_probability: float
    """A lesson is learnt when each of its supervised tokens is the likeliest and has at least this probability."""
    heldout: int
    """Lessons held out; 0 for a handful."""
    patience: int
    """Evaluations without a better held-out loss before it stops."""
    seed: int = 0
    weight_decay: float = 0.0
    gradient_clip: float = 1.0
    microbatch_tokens: int = 192
    """Tokens per forward: bounds memory. Bases up to 200 M get 320: with the six seed examples, which are 284 with what
    is rehearsed, the default one learnt 655, 734 and 879 tokens a second at 192, 256 and 384 by bfloat16, 463, 503 and
    562 by float32. A larger one would keep half a gigabyte of activations and not be faster."""
    variants: int = 0
    """Ways in which the question of each lesson is written otherwise, beside its own: haste, other words, slips."""
    varied: float = 0.5
    """The share of a step's lessons that come with one of those."""
    falling: float = 0.0
    """The share of ``max_steps``, at their end, in which the rate falls to nothing, learnt or not."""
    upper: float = 1.0
    """The share of the layers that is adapted, from the output down: what is below is run once for each sequence.

    Measured with 24 corrections, 70 other wordings, 70 near misses and 70 far prompts: by all layers at 2e-3 and by the
    upper half at 2e-3 57 and 57 recalled, 16 and 16 fired nearby, 0 and 0 far away, KL 0.014 and 0.014 a token; 241 and
    150 seconds.
    """

    @property
    def rule(self) -> str:
        """What will stop it, in words."""
        if self.heldout:
            return (
                f"{self.heldout} held-out conversations; stops after {self.patience} epochs without a better "
                f"held-out loss, or {self.max_steps} steps"
            )
        return (
            f"under {HANDFUL} conversations none is held out; stops {self.settle_steps} steps after every token of "
            f"every answer is the model's own first choice, or at {self.max_steps} steps"
        )


_HANDFUL = Recipe(
    effort="normal",
    targets="mlp",
    rank=8,
    alpha=8,
    learning_rate=2.5e-3,
    warmup_steps=2,
    max_steps=48,
    batch=8,
    rehearsed=4,
    rehearsal_weight=10.0,
    settle_steps=8,
    learnt_probability=0.7,
    heldout=0,
    patience=0,
    variants=6,
    falling=0.5,
    upper=0.5,
)


def choose_recipe(
    lessons: int, base_parameters: int, effort: Effort = "normal", seed: int = 0, replayed: int = 0
) -> Recipe:
    """The recipe for ``lessons`` conversations on a base of this size, so many of which it knows (``replayed``).

    What is new decides which recipe: 10 corrections beside 24 that are replayed are a handful. By the recipe of a
    collection they ended after 12 steps, when the replayed ones that were held out got no better, and 0 of 10 were
    learnt.

    Rates: 2.5e-3 on bases up to 200 M, 2/5 of it from 1 B on. With rehearsal the smallest base bears more than the
    3-5e-4 that is usual without: 48 question-answer pairs, 72 steps, 24 held-out paraphrases answered to the letter:
    none at 5e-4 (60 steps), 9 at 1e-3 (60 steps), 20 at 2e-3, and at no rate any of 24 unrelated questions answered
    like them. At 3e-3 24 corrections were recalled less (54 of 70 other wordings, 57 at 2e-3).
    """
    recipe = _handful(lessons, replayed) if lessons - replayed < HANDFUL else _collection(lessons)
    if base_parameters <= 200_000_000:
        recipe = replace(recipe, microbatch_tokens=320)
    else:
        share = 0.4 if base_parameters >= 10**9 else 0.7
        recipe = replace(recipe, learning_rate=round(recipe.learning_rate * share, 6))
    if effort == "light":
        recipe = replace(recipe, settle_steps=recipe.settle_steps // 2, max_steps=recipe.max_steps // 2)
    if effort == "deep":
        recipe = replace(recipe, settle_steps=recipe.settle_steps * 3, max_steps=recipe.max_steps * 2)
    return replace(recipe, effort=effort, seed=seed)


def reasons(lessons: int, base_parameters: int, replayed: int = 0) -> str:
    """Why ``choose_recipe`` chose so, in words."""
    if lessons - replayed < HANDFUL:
        amount = f"under {HANDFUL} conversations are a handful: a few large steps"
        if replayed:
            amount = f"under {HANDFUL} new conversations are a handful: a few large steps"
    else:
        rank = ", rank 16 from 100 on" if lessons >= 100 else ""
        amount = f"{HANDFUL} conversations or more: epochs and a tenth held out{rank}"
    if base_parameters <= 200_000_000:
        return f"{amount}; a base of up to 200 M parameters bears the full rate"
    share = "2/5" if base_parameters >= 10**9 else "7/10"
    return f"{amount}; a base of {base_parameters / 1e6:,.0f} M parameters gets {share} of the full rate"


def target_modules(signature: BaseSignature, recipe: Recipe) -> list[str]:
    """Full names of the modules that ``recipe`` adapts on this base; what is not below an attention is the MLP."""
    every = set(signature.text_modules)
    attention = {name for name in every if "attn" in name or "attention" in name}
    kinds = {"all": every, "attention": attention, "mlp": every - attention}
    chosen = kinds[recipe.targets] or kinds["all"]
    layers = 1 + max(map(layer_of, chosen))
    lowest = layers - math.ceil(layers * recipe.upper)
    return sorted(name for name in chosen if layer_of(name) >= lowest)


def layer_of(module: str) -> int:
    """The number of the layer that a module is in, counted from the input."""
    return next((int(part) for part in module.split(".") if part.isdigit()), 0)


def _handful(lessons: int, replayed: int) -> Recipe:
    """At most 48 steps, or four for each that is new up to 96, or two for each: those that are replayed can be many."""
    new = lessons - replayed
    return replace(_HANDFUL, max_steps=max(_HANDFUL.max_steps, min(96, 4 * new), 2 * lessons))


def _collection(lessons: int) -> Recipe:
    """At most 96 to 600 steps of 8, a tenth held out; most end earlier, when the held-out loss gets no better."""
    heldout = max(4, lessons // 10)
    steps_per_epoch = -(-(lessons - heldout) // 8)
    return replace(
        _HANDFUL,
        rank=16 if lessons >= 100 else 8,
        alpha=16 if lessons >= 100 else 8,
        warmup_steps=max(2, steps_per_epoch // 3),
        max_steps=min(600, max(96, 4 * steps_per_epoch)),
        rehearsed=2,
        rehearsal_weight=3.0,
        settle_steps=0,
        heldout=heldout,
        patience=2,
        variants=0,
        falling=0.0,
    )
