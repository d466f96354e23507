"""A version that is there, examined. Owns what of its line is asked and put into a prompt; never keeps the result."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import replace

from lora_chat.adapters.registry import Adapter
from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import RefusedError
from lora_chat.training.proof.check import Check
from lora_chat.training.proof.exam import exam_of, examine, prompt_of, with_examples
from lora_chat.training.proof.line import Line, Proved
from lora_chat.training.proof.proving import Ask
from lora_chat.training.proof.result import Exam

Answers = Callable[[Adapter | None, tuple[Turn, ...], int], str]
"""What an adapter, or the base alone (None), answers to messages, greedily, in at most so many tokens."""

PROMPT_CHARACTERS = 8_000
"""What examples in a prompt may take together: some 2,000 tokens."""


def examined(
    line: Line,
    adapter: Adapter,
    version: str,
    answers: Answers,
    seconds: float,
    found: Mapping[str, Proved] | None = None,
    ended: Callable[[], bool] = lambda: False,
) -> Generator[float, None, Exam | None]:
    """Examine ``version`` for at most twice ``seconds``; yields the part that is done.

    None where nothing is known of what it was taught.
    ``found`` is what came of its checks a moment ago: none of them is asked again.

    Raises:
        StoreError: as ``Line.checks``.
        LoraChatError: as ``answers``.
    """
    checks = line.checks(version)
    if not checks:
        return None

    def base(messages: tuple[Turn, ...], most: int) -> str:
        return answers(None, messages, most)

    system, examples = with_examples(line.lessons(version, learnt=True))
    length = sum(len(asked) + len(said) for asked, said in examples)
    known, asked = _known(checks, found or {}), exam_of(checks, version)
    prompted: Ask | None = None
    unprompted = ""
    if length > PROMPT_CHARACTERS:
        unprompted = (
            f"Its {len(examples):,} examples are {length:,} characters long, more than a prompt should hold "
            f"({PROMPT_CHARACTERS:,}): the base was not asked with them."
        )
    elif examples:

        def prompted(messages: tuple[Turn, ...], most: int) -> str:
            return answers(None, prompt_of(system, examples, messages), most)

        try:  # its first answer also says whether the examples fit the base's window
            prompted(asked[0].messages, 1)
        except RefusedError as error:
            prompted, unprompted = None, f"The base was not asked with its {len(examples):,} examples: {error}"
    exam = yield from examine(
        asked,
        lambda messages, most: answers(adapter, messages, most),
        base,
        (prompted, len(examples)) if prompted else None,
        checks,
        known,
        seconds,
        ended,
    )
    return replace(exam, unprompted=unprompted)


def _known(checks: list[Check], found: Mapping[str, Proved]) -> dict[tuple[Turn, ...], str]:
    """What was answered to the checks themselves: as taught where they held."""
    known = {}
    for check in checks:
        if check.id in found and not (check.must or check.must_not):
            wrong = dict(found[check.id].wrong)
            known[check.messages] = wrong.get(check.question, check.answer)
            for words in check.rewordings:
                if words in wrong:
                    known[(*check.messages[:-1], Turn(Role.USER, words))] = wrong[words]
    return known
