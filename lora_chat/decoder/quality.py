"""Is a quantised base still the base? Owns the text and the measure; never chooses. [torch]

The measure is the teacher-forced loss, in nats per token, on fixed text that no base was trained on: it was written
for this file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

LONGEST = 512
"""Tokens that are read."""

AT_ONCE = 64
"""Of them together: their logits take 0.2 MB each on the default base."""

TEXT = """The ferry to the island leaves at seven in the morning, and if you miss it you wait until noon. My aunt has \
kept the bakery by the harbour for thirty years. She says the secret of good bread is patience: the dough rests \
overnight in the cellar, where it is never warmer than twelve degrees, and nobody may open the door.

To repair a flat tyre, first turn the bicycle upside down and release the brake. Take the wheel out, loosen the tyre \
with two levers, and pull out the inner tube. Pump it up a little and hold it under water; bubbles show where the hole \
is. Dry the rubber, roughen it with sandpaper, spread a thin layer of glue, and wait five minutes before you press the \
patch on.

def average(numbers):
    total = 0
    for number in numbers:
        total += number
    return total / len(numbers)

The function above fails when the list is empty, because it divides by zero. You can return None in that case, or \
raise a ValueError that says what was expected.

Question: Why do leaves change colour in autumn?
Answer: In summer leaves are green because of chlorophyll, which they need to make sugar from light. When the days get \
shorter, trees stop making it. The green fades, and the yellow and orange pigments that were there all along can be \
seen. Some trees also make red pigments from the sugar that is left in the leaf.

Dear Ms Okafor, thank you for your order of 14 March. Two of the three lamps were sent today; the third is out of \
stock until next week. You need not do anything, we will send it without further cost as soon as it arrives. If you \
would rather have your money back, reply to this message. Kind regards, Tomasz."""


def measure(read: Callable[[Sequence[int]], torch.Tensor], ids: Sequence[int]) -> float:
    """Mean loss over ``ids`` in nats per token; ``read`` gives the logits after each of the next ids, (len, vocab)."""
    ids = list(ids)[:LONGEST]
    total, count = 0.0, len(ids) - 1
    for start in range(0, count, AT_ONCE):
        end = min(start + AT_ONCE, count)
        wanted = torch.tensor(ids[start + 1 : end + 1])
        total += float(functional.cross_entropy(read(ids[start:end]).float(), wanted, reduction="sum"))
    return total / max(count, 1)
