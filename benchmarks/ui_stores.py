"""Made-up chats, as many as wanted. Owns how they are spread and what they say; never the person's own.

Their words are those of this repository's pages and questions, in runs of some, so that they are as frequent as in
English; every third answer has a name that nothing else has, and one conversation in five is in Chinese. Two needles
lie among the oldest: who looks for them looks through everything.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent

NEEDLE, NEEDLE_ZH = "quarrelwort", "鱻麤鑫"
"""Said once each, long ago."""

LONG = "The long one"
"""The title of the conversation that has as many messages as wanted."""

LAST = "the very last words of it"

OFTEN_ZH = "天气"
"""In every tenth Chinese message or so."""

_BEGAN = 1_700_000_000.0
_COMMON = (
    "的一是了我不人在他有这个上们来到时大地为子中你说生国年着就那和要她出也得里后自以"
    "会家可下而过天去能对小多然于心学么之都好看起发当没成只如事把还用第样道想作种开"
)
_SYLLABLES = ("ka", "lo", "mi", "ren", "tas", "vo", "shi", "bel", "dor", "una", "pex", "ri")


def words() -> list[str]:
    """Of the pages and the benchmarks' questions, in their order."""
    files = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "benchmarks" / "learn").glob("*.jsonl"))]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    return re.findall(r"[A-Za-z]{1,14}", text)


class Talk:
    """What is said, always the same for one seed."""

    def __init__(self, seed: int = 7) -> None:
        self.chance = random.Random(seed)
        self._words = words()

    def prose(self, count: int) -> str:
        """About ``count`` words, in sentences and now and then a paragraph."""
        said: list[str] = []
        while count > 0:
            many = min(count, self.chance.randrange(6, 20))
            at = self.chance.randrange(len(self._words) - many)
            said.append(" ".join(self._words[at : at + many]).capitalize() + ".")
            count -= many
        return "".join(each + ("\n\n" if self.chance.random() < 0.12 else " ") for each in said).strip()

    def chinese(self, clauses: int) -> str:
        """So many clauses without a space in them."""
        said = []
        for _ in range(clauses):
            signs = [self._sign() for _ in range(self.chance.randrange(4, 14))]
            if self.chance.random() < 0.04:
                signs.insert(1, OFTEN_ZH)
            said.append("".join(signs))
        return "，".join(said) + "。"

    def name(self) -> str:
        """One that hardly comes again."""
        made = "".join(self.chance.choice(_SYLLABLES) for _ in range(3)).capitalize()
        return f"{made}{self.chance.randrange(10_000)}"

    def message(self, *, asked: bool, chinese: bool) -> str:
        """A question of some words, an answer of some sentences; lengths spread as logarithms do."""
        count = max(2, round(self.chance.lognormvariate(2.4 if asked else 4.0, 0.7)))
        if chinese:
            return self.chinese(max(1, min(count, 400) // 6))
        text = self.prose(min(count, 600))
        return text if asked or self.chance.random() > 0.33 else f"{text} {self.name()}."

    def _sign(self) -> str:
        return self.chance.choice(_COMMON) if self.chance.random() < 0.8 else chr(self.chance.randrange(0x4E00, 0x9FA0))


Said = tuple[str, list[str]]
"""A title that was given, else empty, and what was said, question and answer in turns."""


def conversations(count: int, messages: int, seed: int = 7) -> Iterator[Said]:
    """``count`` conversations of 1 to 50 messages, ``messages`` in all; the needles are in the third."""
    talk = Talk(seed)
    shares = [min(talk.chance.expovariate(1.0) + 0.1, 4.9) for _ in range(count)]
    left, weight = messages, sum(shares)
    for number, share in enumerate(shares):
        many = max(1, min(50, round(left * share / weight) if number < count - 1 else left))
        left, weight = left - many, weight - share
        chinese = number % 5 == 4
        said = [talk.message(asked=place % 2 == 0, chinese=chinese) for place in range(many)]
        if number == 2:
            said[0] += f" {NEEDLE} {NEEDLE_ZH}"
        yield (f"About {talk.prose(3)}" if talk.chance.random() < 0.1 else ""), said


def long_one(messages: int, seed: int = 8) -> Said:
    """One of ``messages``, whose last one ends with ``LAST``."""
    talk = Talk(seed)
    said = [talk.message(asked=place % 2 == 0, chinese=False) for place in range(messages)]
    said[-1] += f" {LAST}"
    return LONG, said


def fill(database: Path, base: str, chats: Iterator[Said], told: Callable[[int], object] = lambda _: None) -> str:
    """Write ``chats`` into the store at ``database``, a minute between two messages; the last one's id.

    Rows go in as the store's own do, and through its triggers, but all at once: one write each takes an hour.
    """
    from lora_chat.chat.conversation import Role, Status
    from lora_chat.chat.rows import insert
    from lora_chat.chat.store import Store
    from lora_chat.chat.titles import TITLE_LENGTH
    from lora_chat.text import clean_line

    at, id = _BEGAN, ""
    with Store.open(database) as store, store.as_one(), store.database.writing() as connection:
        for number, (title, said) in enumerate(chats):
            id = store.create_conversation(title=title or clean_line(said[0], TITLE_LENGTH), model=base).id
            parent = None
            for place, text in enumerate(said):
                at += 60
                answer = {"base": base, "finish_reason": "stop", "generated_tokens": len(text.split())}
                values = {
                    "conversation": id, "parent": parent, "content": text, "created_at": at, "status": Status.DONE,
                    "role": Role.ASSISTANT if place % 2 else Role.USER, **(answer if place % 2 else {}),
                }  # fmt: skip
                parent = insert(connection, "messages", values)
            connection.execute("UPDATE conversations SET head = ?, updated_at = ? WHERE id = ?", (parent, at, id))
            told(number)
    return id
