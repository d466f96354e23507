"""A lesson whose question is written otherwise. Owns haste and slips; never changes what is asked.

An adapter that saw each question spelled in one way alone waits for that spelling, and the more it rehearses what it
must not answer so, the more. The answer to be learnt stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from random import Random

from lora_chat.chat.conversation import Role
from lora_chat.training.lesson import Lesson
from lora_chat.training.proof.indirect import word_set
from lora_chat.training.proof.rewording import to_learn

LONG = 200
"""Characters from which on a question is left as it is: much of it may be what the answer works on."""

_WORKED_ON = re.compile(r"[\n:;\"“”„«»`<>{}\[\]\\|=+*/^]|\d\s*-|(?<!\w)'")
"""Signs of a text, a formula or code that the answer depends on to the letter."""
_SLIP_FROM = 5
"""Letters of a word from which on one slip leaves it readable."""
_SPARED = word_set("the a an please is are was were am do does did")
"""Words that are left out in haste; none says what is asked, and none denies it."""


def variants(lesson: Lesson, most: int, seed: int) -> list[Lesson]:
    """Up to ``most`` of it, distinct; none where its questions may not be touched. The same for the same seed."""
    asked = [index - 1 for index in lesson.learn if index and lesson.messages[index - 1].role is Role.USER]
    if not asked:
        return []
    ways = [otherwise(lesson.messages[at].content, most, seed) for at in asked]
    found = []
    for number in range(max(map(len, ways))):
        turns = list(lesson.messages)
        for at, way in zip(asked, ways, strict=True):
            if way:
                turns[at] = replace(turns[at], content=way[number % len(way)])
        found.append(replace(lesson, messages=tuple(turns)))
    return found


def otherwise(question: str, most: int, seed: int = 0) -> list[str]:
    """Up to ``most`` ways of writing it: in haste, in other words (in English), with slips."""
    said = question.strip()
    if not said or len(said) > LONG or _WORKED_ON.search(said):
        return []
    random = Random(f"{seed} {said}")
    found = dict.fromkeys(islice(_written(said, to_learn(said), random), 4 * most))
    return [words for words in found if words and words != said][:most]


def _written(said: str, reworded: list[str], random: Random) -> Iterator[str]:
    """Endless, and not all distinct."""
    yield _in_haste(said)
    yield from reworded
    for way in cycle((_slipped, _shortened, _slipped_in_haste)):
        yield way(random.choice([said, *reworded]), random)


def _in_haste(said: str) -> str:
    """No capitals, no signs."""
    return " ".join(re.sub(r"[^\w\s'’-]", "", said).casefold().split())


def _slipped_in_haste(said: str, random: Random) -> str:
    return _in_haste(_slipped(said, random))


def _slipped(said: str, random: Random) -> str:
    """Two letters inside a longer word exchanged, or one left out; its ends stay, by which it is read."""
    places = [each for each in re.finditer(r"[^\W\d_]+", said) if len(each.group()) >= _SLIP_FROM]
    if not places:
        return said
    place = random.choice(places)
    word, at = place.group(), random.randrange(1, len(place.group()) - 2)
    left_out = word[:at] + word[at + 1 :]
    exchanged = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return said[: place.start()] + random.choice([left_out, exchanged]) + said[place.end() :]


def _shortened(said: str, random: Random) -> str:
    """Without one small word."""
    words = said.split()
    spared = [at for at, word in enumerate(words) if word.casefold() in _SPARED]
    if len(words) < 4 or not spared:
        return said
    at = random.choice(spared)
    return " ".join(words[:at] + words[at + 1 :])
