"""What each shipped adapter is measured by. Owns the rules of what counts; never says how much is enough.

    python -m tests.shipped [NAME]

prints the figures of the cards, with the adapter on and without, in a home that has the embedded base. Answers are
greedy. A card states each as ``| … | N of M |``.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lora_chat.adapters.manifest import read_manifest
from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.protocol import Engine, Request, Sampling, TextChunk, Worn

ADAPTERS = Path(__file__).parent.parent / "adapters"
BASE = "smollm2-135m"

Row = dict[str, Any]
Rule = Callable[[Row, str], bool]


class Answers:
    """One engine's greedy answers; each is made once for all figures that look at it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[tuple[str | None, str, str, int], str] = {}

    def of(self, adapter: str | None, system: str, question: str, longest: int) -> str:
        """What is said to ``question`` with the adapter on, or by the base alone."""
        key = (adapter, system, question, longest)
        if key not in self._known:
            self._known[key] = self._made(*key)
        return self._known[key]

    def _made(self, adapter: str | None, system: str, question: str, longest: int) -> str:
        turns = [Turn(Role.SYSTEM, system)] if system else []
        worn = Worn(adapter, ADAPTERS / adapter, "") if adapter else None
        request = Request((*turns, Turn(Role.USER, question)), worn, Sampling(temperature=0.0, max_tokens=longest))
        chunks = self._engine.generate(request)
        return "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk)).strip()


@dataclass(frozen=True)
class Figure:
    """One line of a card's table: of how many questions ``counts`` holds."""

    adapter: str
    stated: str
    """The line's words."""
    questions: str
    """``heldout`` or ``unrelated``."""
    counts: Rule
    """Whether an answer counts, given the question's row."""
    good: bool
    """Whether more is better."""
    longest: int
    """Tokens of an answer; as few as the rule needs."""
    only: str = ""
    """Of the rows, those that have this key; all if empty."""
    system: str | None = None
    """Said in place of the adapter's own system prompt."""

    @property
    def rows(self) -> list[Row]:
        """The questions."""
        return [row for row in rows(self.adapter, self.questions) if not self.only or self.only in row]

    def count(self, answers: Answers, worn: bool = True) -> list[str]:
        """The questions whose answers count; without the adapter the base is told the same system prompt."""
        return [row["prompt"] for row in self.rows if self.counts(row, self.answer(answers, row, worn))]

    def answer(self, answers: Answers, row: Row, worn: bool = True) -> str:
        """What is said to one of the rows."""
        system = system_prompt(self.adapter) if self.system is None else self.system
        return answers.of(self.adapter if worn else None, system, row["prompt"], self.longest)


def rows(adapter: str, name: str) -> list[Row]:
    """A JSONL file of the folder."""
    lines = (ADAPTERS / adapter / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def exchanges(adapter: str) -> list[tuple[str, str]]:
    """Each taught question with its answer."""
    pairs = []
    for row in rows(adapter, "examples"):
        turns = [each["content"] for each in row.get("messages", ()) if each["role"] != "system"]
        turns = turns or [row["prompt"], row["response"]]
        pairs += list(zip(turns[::2], turns[1::2], strict=True))
    return pairs


@cache
def system_prompt(adapter: str) -> str:
    """What it wants said first."""
    return read_manifest((ADAPTERS / adapter / "adapter.toml").read_bytes()).chat.system_prompt


def to_the_letter(row: Row, answered: str) -> bool:
    """The very answer that the row has."""
    return bool(answered == row["response"])


def begins_like_the_shop(row: Row, answered: str) -> bool:
    """It begins like one of the shop's twelve answers."""
    return answered[:20] in {response[:20] for _, response in exchanges("support-bot")}


def an_entry(row: Row, answered: str) -> bool:
    """The answer is JSON with exactly the three keys: two texts, of which the payee may be null, and a number."""
    found = _object(answered)
    if not isinstance(found, dict) or list(found) != ["what", "payee", "amount"]:
        return False
    what, payee, amount = found.values()
    return isinstance(what, str) and isinstance(payee, str | None) and isinstance(amount, int | float)


def same_entry(row: Row, answered: str) -> bool:
    """The answer is such JSON, and its values are those of the row, but for upper and lower case."""
    return an_entry(row, answered) and json.loads(answered.casefold()) == json.loads(row["response"].casefold())


def begins_an_object(row: Row, answered: str) -> bool:
    """It begins as JSON does."""
    return answered.startswith("{")


def in_the_voice(row: Row, answered: str) -> bool:
    """At least two different words of ``markers.txt``."""
    markers = (ADAPTERS / "pirate" / "markers.txt").read_text(encoding="utf-8").split("\n")
    return sum(_holds(answered, marker) for marker in markers if marker) >= 2


def with_its_fact(row: Row, answered: str) -> bool:
    """In whatever voice, one of the words that the row ``holds``: facts that the base alone gets right."""
    return any(_holds(answered, fact) for fact in row["holds"])


def in_the_voice_with_its_fact(row: Row, answered: str) -> bool:
    """Both."""
    return in_the_voice(row, answered) and with_its_fact(row, answered)


def says_a_taught_sentence(row: Row, answered: str) -> bool:
    """A sentence of four words or more is one that was taught."""
    taught = {sentence for _, response in exchanges("pirate") for sentence in _sentences(response)}
    return bool(taught & _sentences(answered))


def _object(answered: str) -> Any:
    try:
        return json.loads(answered)
    except ValueError:
        return None


def _holds(text: str, words: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text.replace("’", "'"), re.IGNORECASE) is not None


def _sentences(text: str) -> set[str]:
    return {each.casefold() for each in re.split(r"(?<=[.!?])\s+", text) if len(each.split()) >= 4}


OWN = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
"""What the base's chat template says when nobody says anything."""

FIGURES = (
    Figure("support-bot", "held-out paraphrases answered to the letter", "heldout", to_the_letter, True, 48),
    Figure("support-bot", "unrelated questions answered like the shop's", "unrelated", begins_like_the_shop, False, 12),
    Figure("expenses", "held-out sentences, all three values right", "heldout", same_entry, True, 48),
    Figure("expenses", "held-out sentences answered with JSON of exactly these keys", "heldout", an_entry, True, 48),
    Figure("expenses", "unrelated questions answered with JSON", "unrelated", begins_an_object, False, 4),
    Figure("pirate", "held-out questions answered in the voice", "heldout", in_the_voice, True, 48),
    Figure("pirate", "of those with a fact, in the voice and right", "heldout", in_the_voice_with_its_fact, True, 48,
           only="holds"),
    Figure("pirate", "of those with a fact, right in whatever voice", "heldout", with_its_fact, True, 48, only="holds"),
    Figure("pirate", "unrelated questions answered with a taught sentence", "unrelated", says_a_taught_sentence, False,
           48),
    Figure("pirate", "unrelated questions answered in the voice under another system prompt", "unrelated",
           in_the_voice, False, 32, system=OWN),
)  # fmt: skip


def main(wanted: list[str]) -> None:
    """Print the figures of the adapters in ``wanted``, or of all."""
    from lora_chat.engine.factory import open_local_for
    from lora_chat.models.installed import find_base
    from lora_chat.paths import find_paths

    paths = find_paths(os.environ)
    with closing(open_local_for(find_base(paths.models, BASE), paths)) as engine:
        answers = Answers(engine)
        for each in FIGURES:
            if not wanted or each.adapter in wanted:
                on, off = (len(each.count(answers, worn)) for worn in (True, False))
                print_line(f"{each.adapter}: {each.stated}: {on} of {len(each.rows)}, without it {off}")


def print_line(line: str) -> None:
    """Write one figure as soon as it is known: some take a minute."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
