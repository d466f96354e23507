"""Ways to teach, as they are written on the command line. Owns reading them and what the curve is drawn from.

A way is a name and values for ``train --set``; ``data=12`` beside them says how much is taught.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

CURVE = (
    "as it is: ; data 6: data=6; data 12: data=12; "
    "rank 2: rank=2 alpha=2; rank 32: rank=32 alpha=32; "
    "48 steps: max_steps=48; 192 steps: max_steps=192 learnt_probability=0.999; "
    "no replay: rehearsed=0; half the replay: rehearsed=2; twice the replay: rehearsed=8; "
    "replay weight 3: rehearsal_weight=3; replay weight 30: rehearsal_weight=30; "
    "questions as they are: variants=0"
)
"""Data, rank, steps and replay, each less and more than it is, and no variants.

What ends a handful is hardly ever reached at 0.999.
"""


def parse_ways(text: str, option: str = "--ways") -> dict[str, list[str]]:
    """``name: a=b c=d; name2: …`` as the values of each name."""
    ways = {}
    for each in filter(str.strip, text.split(";")):
        name, colon, values = each.partition(":")
        if not colon or not all("=" in value for value in values.split()):
            raise SystemExit(f'{option}: "{each.strip()}" is no way: write "name: rank=16 alpha=16; name2: …".')
        told_apart(values.split(), option)
        ways[name.strip()] = values.split()
    if not ways:
        raise SystemExit(f'{option} names no way: write "name: rank=16 alpha=16; name2: …".')
    return ways


def told_apart(values: Iterable[str], option: str = "--ways") -> tuple[list[str], int]:
    """Those of the recipe, and how much is taught; 0 is all of it."""
    sets, count = [], 0
    for value in values:
        name, _, number = value.partition("=")
        if name != "data":
            sets.append(value)
        elif number.isdigit() and int(number):
            count = int(number)
        else:
            raise SystemExit(f'{option}: "{value}": data is a number of examples, as data=12.')
    return sets, count


def chosen(rows: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The first ``count`` rows in their order, taken in turns from all that they are about; 0 is all of them."""
    if not 0 < count < len(rows):
        return list(rows)
    seen: dict[Any, int] = {}
    turns = []
    for place, row in enumerate(rows):
        about = row.get("about")
        seen[about] = seen.get(about, -1) + 1
        turns.append((seen[about], place))
    return [rows[place] for place in sorted(place for _, place in sorted(turns)[:count])]
