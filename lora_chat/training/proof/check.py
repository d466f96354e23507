"""One correction as a test. Owns what is asked and when an answer holds; never asks it."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lora_chat.chat.conversation import Role, Turn
from lora_chat.chat.thought import answer_of, parted
from lora_chat.training.lesson import Lesson

_STRAIGHT = str.maketrans("‘’“”–—\u00a0", "''\"\"-- ")
_WORD = re.compile(r"\w+(?:[.,:/'-]\w+)*")
_SENTENCE_END = re.compile(r"[.!?:]\s*$")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
"""Scripts that put no space around a word, or hang endings on it."""
_BEFORE_A_LINE = " \t\"'“‘(*-•#>"
_COMMA = re.compile(r",(?!(?<=\d,)\d{3}(?!\d))")
_DENIAL = re.compile(
    r"\b(?:do|does|did|is|are|was|were|am|can|could|will|would|shall|should|has|have|had|may|must) not\b"
    r"(?! (?:only|just))"
    r"|\b(?!don't (?:worry|hesitate|forget|mind))\w+n't\b|\bcannot\b|\bnever\b|\bno longer\b(?! than)|\bunable\b"
    r"|\b(?:is|are|was|were|have|has|had) no\b(?! (?:problem|doubt|more than|later than|longer))"
    r"|^no\b(?=[,.:;!]|$| (?:we|i|you|he|she|it|they|there)\b)"
)
"""A verb that is denied, or an answer that begins with no."""
LONG_WORD = 4
"""Letters of a word from which on it says something."""
ENOUGH = 2 / 3
"""Of the long words of an answer without names and numbers, to say the same in other words."""


@dataclass(frozen=True)
class Check:
    """A question and the answer that was taught."""

    messages: tuple[Turn, ...]
    """Up to the question, its last."""
    answer: str
    version: str = ""
    """Of the adapter, which learnt it first."""
    must: tuple[str, ...] = ()
    """Words that the answer must hold. With any of these or of ``must_not``, they alone decide."""
    must_not: tuple[str, ...] = ()
    rewordings: tuple[str, ...] = ()
    """The question in other words, as the person confirmed them."""
    dropped: bool = False
    """Whether the person wants it asked no more; it is kept, as learning the answer again must not bring it back."""

    @property
    def question(self) -> str:
        """The last turn."""
        return self.messages[-1].content

    @property
    def id(self) -> str:
        """12 hexadecimal digits of the question and all that comes before it: the same however it is answered."""
        turns = json.dumps([[turn.role.value, turn.content] for turn in self.messages])
        return hashlib.sha256(turns.encode()).hexdigest()[:12]

    @property
    def wanted(self) -> str:
        """What an answer must be: the taught one; with ``must`` or ``must_not``, what they say."""
        mention = f"mentions {', '.join(self.must)}" if self.must else ""
        never = f"never mentions {', '.join(self.must_not)}" if self.must_not else ""
        return "; ".join(filter(None, (mention, never))) or self.answer

    def asked(self) -> Iterator[tuple[tuple[Turn, ...], bool]]:
        """Each conversation to be answered, and whether its question is reworded."""
        yield self.messages, False
        for words in self.rewordings:
            yield (*self.messages[:-1], Turn(Role.USER, words)), True

    def holds(self, answer: str, *, reworded: bool = False) -> bool:
        """Whether ``answer`` is right: what must be in it is; else it is the taught one, in other words says as much.

        Without ``must`` and ``must_not`` the question itself wants the taught answer to the letter, but for white
        space. A reworded one wants its names and numbers; where it has none, two thirds of its words of four letters;
        and no to be said where the taught answer says no, and only there. What a base thought before is no answer.
        """
        if answer_of(self.answer) == self.answer:  # else the thoughts were taught too
            said = parted(answer)
            if said.is_open:
                return False  # it was cut off before it answered
            answer = said.answer
        if self.must or self.must_not:
            return all(says(answer, words) for words in self.must) and not any(
                says(answer, words) for words in self.must_not
            )
        if not reworded:
            return answer.split() == self.answer.split()
        if denies(answer) is not denies(self.answer):
            return False
        if telling := telling_words(self.answer):
            return all(says(answer, words) for words in telling)
        wanted = {word for word in words_of(self.answer) if len(word) >= LONG_WORD}
        found = words_of(answer)
        return len(wanted & found) >= ENOUGH * len(wanted) if wanted else plain(answer) == plain(self.answer)


def checks_of(lessons: Iterable[Lesson], version: str = "") -> list[Check]:
    """Each learnt answer that follows a question; of one question that was taught twice the newest answer."""
    found: dict[str, Check] = {}
    for lesson in lessons:
        for index in lesson.learn:
            if index and lesson.messages[index - 1].role is Role.USER:
                check = Check(lesson.messages[:index], lesson.messages[index].content, version)
                found[check.id] = check
    return list(found.values())


def says(answer: str, words: str) -> bool:
    """Whether ``words`` stand in ``answer`` as whole words, whatever their case, quotes, dashes and line breaks."""
    wanted = plain(words)
    if not wanted:
        return True
    begins, ends = (
        "" if _UNSPACED.match(letter) else r"\b" if letter.isalnum() else "" for letter in (wanted[0], wanted[-1])
    )
    return re.search(rf"{begins}{re.escape(wanted)}{ends}", plain(answer)) is not None


def split_words(text: str) -> tuple[str, ...]:
    """``must`` or ``must_not`` as a person writes them, with commas between: each once. That of 1,000 is none."""
    parts = _COMMA.split(text)
    return tuple(dict.fromkeys(filter(None, (" ".join(words.split()) for words in parts))))


def telling_words(answer: str) -> tuple[str, ...]:
    """Its numbers, and its names: words with a capital that do not begin a sentence, each once, in order."""
    found: dict[str, None] = {}
    for match in _WORD.finditer(answer):
        word, before = match.group(), answer[: match.start()]
        begins = not before.rpartition("\n")[2].strip(_BEFORE_A_LINE) or _SENTENCE_END.search(before.rstrip("\"'“‘(*"))
        name = word[0].isupper() and not begins and word not in ("I", "I'm", "I'll", "I've", "I'd")
        if name or any(letter.isdigit() for letter in word):
            found[word] = None
    return tuple(found)


def denies(text: str) -> bool:
    """Whether it plainly denies something, in English."""
    return _DENIAL.search(plain(text)) is not None


def words_of(text: str) -> set[str]:
    """Its words in small letters."""
    return set(_WORD.findall(plain(text)))


def plain(text: str) -> str:
    """One line of small letters with straight quotes and dashes."""
    return " ".join(unicodedata.normalize("NFC", text).translate(_STRAIGHT).casefold().split())
