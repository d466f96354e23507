"""How a conversation becomes tokens for one base model. Owns the chat template and the loss mask; never imports torch.

Two promises. Text that a person or a model wrote is only ever text: a ``<|im_end|>`` typed into a message is encoded as
its characters, never as the control token. And what is supervised in training is exactly what would be generated in
chat: the ids after the prompt's ids, up to and with the token that ends the turn, asserted by decoding them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import RefusedError
from lora_chat.models.roles import Roles
from lora_chat.models.segments import Segments

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from lora_chat.models.template import Render

FALLBACK_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message.role == 'system' %}{{ message.content }}\n\n"
    "{% elif message.role == 'user' %}Q: {{ message.content }}\nA:"
    "{% else %} {{ message.content }}{{ eos_token }}\n{% endif %}"
    "{% endfor %}"
)
"""For bases without a chat template, such as OPT: the article's ``Q: …\\nA:`` a blank line after a system prompt."""

FALLBACK_STOP = ("\nQ:",)
"""A base that was never taught to end its turn goes on to ask itself; the reply ends there."""

_QUESTION, _ANSWER = "zx1qv", "zx2qv"
"""Words that no template has of its own."""

_THINKING = re.compile(r"\s*(</?think>)\s*")


@dataclass(frozen=True)
class Example:
    """One training sequence."""

    ids: tuple[int, ...]
    """Token ids, (seq,)."""
    supervised: tuple[bool, ...]
    """Whether the loss counts the prediction *of* this id, (seq,)."""


@dataclass(frozen=True)
class PromptFormat:
    """One base's tokenizer and chat template."""

    tokenizer: Tokenizer
    template: str
    bos_token: str
    eos_token: str
    end_ids: frozenset[int]
    """Any of these ends a reply."""
    stop: tuple[str, ...]
    """Strings that end a reply too; only the fallback template has any."""

    def encode_prompt(self, messages: Sequence[Turn]) -> list[int]:
        """Token ids of the conversation, ready for the assistant's answer; any token the base prepends included."""
        text, guard = self._render([_sound(turn) for turn in messages], answer_next=True)
        return self._encode(text, guard)

    def encode_continued(self, messages: Sequence[Turn]) -> list[int]:
        """Token ids of a conversation whose last message, an answer, is to go on where it ends.

        They are those of the prompt that asked for it and then the answer's own, with what white space the template
        has between the two. What a template would write of a last answer beside its text (a thinking that is empty,
        the end of the turn) is not there, as it was not when the answer was made.

        Raises:
            RefusedError: the last message is no answer, or an empty one.
        """
        if not messages or messages[-1].role is not Role.ASSISTANT or not messages[-1].content:
            raise RefusedError("There is no answer to go on with: the last message is no answer, or an empty one.")
        *before, answer = [_sound(turn) for turn in messages]
        guard = self._guard([*before, answer])
        text, _ = self._render(before, answer_next=True, guard=guard)
        said = self._space_before_answer + (self._hide_controls(answer.content, guard) if guard else answer.content)
        ids, whole = self.encode_prompt(before), self._encode(text + said, guard)
        return whole if whole[: len(ids)] == ids else ids + self._encode(said, guard)

    def encode_beginning(self, messages: Sequence[Turn]) -> list[int]:
        """What the prompt begins with once the person has said more after ``messages``, whatever that is.

        Found by saying three things: templates differ in what they write before a message, some write earlier ones
        anew, and where a message begins with a new line many tokenizers join that with the line's end before it. After
        a question without an answer it is its own prompt, which a retry reads.
        """
        if messages and messages[-1].role is Role.USER:
            return self.encode_prompt(messages)
        prompts = [self.encode_prompt([*messages, Turn(Role.USER, said)]) for said in ("1", "a", "\na")]
        together = enumerate(zip(*prompts, strict=False))
        return prompts[0][: next((at for at, tokens in together if len(set(tokens)) > 1), 0)]

    def examples(self, messages: Sequence[Turn], learn: Sequence[int]) -> list[Example]:
        """Training sequences of one conversation: loss on the assistant turns at the indices ``learn``.

        One sequence for all of them where the template writes each prompt as the beginning of the next; one for each
        turn where it does not (Qwen3 drops earlier thinking).

        Raises:
            RefusedError: a turn at ``learn`` is not the assistant's or is empty, or its mask cannot be proved.
        """
        stripped = [replace(turn, content=turn.content.strip()) for turn in map(_sound, messages)]
        for index in learn:
            if stripped[index].role is not Role.ASSISTANT or not stripped[index].content:
                raise RefusedError(f"Message {index + 1} cannot be learnt: it is not an answer, or it is empty.")
        together = self._sequence(stripped, learn)
        if together is not None:
            return [together]
        return [self._alone(stripped, index) for index in learn]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ``ids`` without control tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def is_control(self, token: int) -> bool:
        """Whether ``token`` steers the base and has no text of its own."""
        return token in self._control_texts

    def _alone(self, messages: Sequence[Turn], index: int) -> Example:
        sequence = self._sequence(messages[: index + 1], [index])
        if sequence is None:
            raise RefusedError(
                f"Message {index + 1} cannot be learnt: "
                f"this base's chat template rewrites the prompt when it is answered."
            )
        return sequence

    def _sequence(self, messages: Sequence[Turn], learn: Sequence[int]) -> Example | None:
        """All of ``learn`` in one sequence, or None where the tokens of one prompt do not begin those of the next."""
        whole, guard = self._render(messages[: learn[-1] + 1], answer_next=False)
        ids: list[int] = []
        supervised: list[bool] = []
        position = 0
        for index in learn:
            prompt, _ = self._render(messages[:index], answer_next=True, guard=guard)
            answered, _ = self._render(messages[: index + 1], answer_next=False, guard=guard)
            if not (answered.startswith(prompt) and whole.startswith(answered)):
                return None
            context = self._encode(whole[position : len(prompt)], guard)
            if position and ids + context != self._encode(prompt, guard):
                return None  # the same text, but a token reaches over the end of an earlier answer
            answer = self._encode(whole[len(prompt) : len(answered)], guard)
            end = next((i for i, token in enumerate(answer) if token in self.end_ids), None)
            if end is None:
                answer, end = [*answer, self._eos_id], len(answer)
            self._assert_mask(answer[: end + 1], messages[index].content)
            ids += context + answer
            supervised += [False] * len(context) + [i <= end for i in range(len(answer))]
            position = len(answered)
        return Example(tuple(ids), tuple(supervised))

    def _assert_mask(self, answer: list[int], content: str) -> None:
        learnt = self.tokenizer.decode(answer[:-1], skip_special_tokens=False)
        if _spoken(learnt) != _spoken(content):
            raise RefusedError(
                f"The loss mask is wrong for this base's chat template: {learnt[:60]!r} would be learnt "
                f"instead of {content[:60]!r}; please report the base model's name."
            )

    @property
    def _eos_id(self) -> int:
        token = self.tokenizer.token_to_id(self.eos_token) if self.eos_token else None
        return token if token is not None else min(self.end_ids)

    def _render(self, messages: Sequence[Turn], *, answer_next: bool, guard: str | None = None) -> tuple[str, str]:
        """Write the template out, control tokens inside contents hidden by a ``guard`` character (``""`` if none)."""
        if guard is None:
            guard = self._guard(messages)
        fitted = self._roles.fitted(messages)
        hidden = (
            [replace(turn, content=self._hide_controls(turn.content, guard)) for turn in fitted] if guard else fitted
        )
        return self._write(hidden, answer_next=answer_next), guard

    def _write(self, messages: Sequence[Turn], *, answer_next: bool = True) -> str:
        written = [{"role": turn.role.value, "content": turn.content} for turn in messages]
        variables = {
            "messages": written,
            "add_generation_prompt": answer_next,
            "bos_token": self.bos_token,
            "eos_token": self.eos_token,
            "tools": None,
            "documents": None,
        }
        return self._compiled(variables)

    @cached_property
    def _space_before_answer(self) -> str:
        """White space that the template writes between a prompt and its answer, and a reply therefore begins with."""
        asked = [Turn(Role.USER, _QUESTION)]
        try:
            prompt = self._write(asked)
            answered = self._write([*asked, Turn(Role.ASSISTANT, _ANSWER)], answer_next=False)
        except RefusedError:
            return ""
        between = answered[len(prompt) :].partition(_ANSWER)[0] if answered.startswith(prompt) else ""
        return "" if between.strip() else between

    @cached_property
    def _roles(self) -> Roles:
        return Roles.of(self._write)

    @cached_property
    def _compiled(self) -> Render:
        from lora_chat.models.template import compile_template

        return compile_template(self.template)

    @cached_property
    def _controls(self) -> re.Pattern[str]:
        """Matches every control token's text."""
        tokens = sorted(self._control_ids, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, tokens)) or r"(?!)")

    @cached_property
    def _control_ids(self) -> dict[str, int]:
        added = self.tokenizer.get_added_tokens_decoder()
        return {token.content: token_id for token_id, token in added.items() if token.special}

    @cached_property
    def _control_texts(self) -> dict[int, str]:
        return {token_id: text for text, token_id in self._control_ids.items()}

    def _guard(self, messages: Sequence[Turn]) -> str:
        """A private-use character that stands nowhere yet, or ``""`` where no message holds a control token."""
        everything = "".join(turn.content for turn in messages)
        if not self._controls.search(everything):
            return ""
        private = chain(range(0xE000, 0xF8FF), range(0xF0000, 0xFFFFD))
        return next(chr(code) for code in private if chr(code) not in everything and chr(code) not in self.template)

    def _hide_controls(self, content: str, guard: str) -> str:
        """``content`` with each control token's text as its number between guards."""
        return self._controls.sub(lambda found: f"{guard}{self._control_ids[found[0]]}{guard}", content)

    def _restore_controls(self, text: str, guard: str) -> str:
        return re.sub(f"{guard}([0-9]+){guard}", lambda found: self._control_texts[int(found[1])], text)

    def _encode(self, text: str, guard: str) -> list[int]:
        if not guard:
            return self._segments.encode(text)
        return [token for piece in self._pieces(text) for token in self._encode_piece(piece, guard)]

    def _pieces(self, text: str) -> Iterator[str]:
        """``text`` cut around its control tokens, which are pieces of their own."""
        position = 0
        for found in self._controls.finditer(text):
            yield text[position : found.start()]
            yield found[0]
            position = found.end()
        yield text[position:]

    def _encode_piece(self, piece: str, guard: str) -> list[int]:
        if piece in self._control_ids:
            return [self._control_ids[piece]]
        return list(self._plain_tokenizer.encode(self._restore_controls(piece, guard), add_special_tokens=False).ids)

    @cached_property
    def _segments(self) -> Segments:
        return Segments(self.tokenizer)

    @cached_property
    def _plain_tokenizer(self) -> Tokenizer:
        """The same tokenizer, to which a control token's text is text."""
        from tokenizers import Tokenizer

        plain = Tokenizer.from_str(self.tokenizer.to_str())
        plain.encode_special_tokens = True
        return plain


def _spoken(text: str) -> str:
    """``text`` whatever white space stands around its thinking, and without a thinking that is empty.

    Qwen3's template writes an empty one before an answer that has none, and that is what the base shall generate then.
    """
    return _THINKING.sub(r"\1", text.strip()).removeprefix("<think></think>")


def _sound(turn: Turn) -> Turn:
    """``turn`` without lone surrogates, which no tokenizer takes."""
    text = turn.content.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return turn if text == turn.content else replace(turn, content=text)


def load_prompt_format(folder: Path) -> PromptFormat:
    """Read the tokenizer and chat template of the base in ``folder``.

    Raises:
        RefusedError: ``tokenizer.json`` is missing or unreadable, naming the folder.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception for every cause
        raise RefusedError(f"Cannot read the tokenizer {path} ({error}): pull the base model again.") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    settings = _read_json(folder / "tokenizer_config.json")
    eos = _token_text(settings.get("eos_token"))
    template = read_chat_template(folder)
    return PromptFormat(
        tokenizer=tokenizer,
        template=template or FALLBACK_TEMPLATE,
        bos_token=_token_text(settings.get("bos_token")) if template else _prepended_token(tokenizer),
        eos_token=eos,
        end_ids=_end_ids(folder, tokenizer, eos),
        stop=() if template else FALLBACK_STOP,
    )


def read_chat_template(folder: Path) -> str | None:
    """The base's own chat template, wherever transformers has put it over the years; None where it has none.

    Raises:
        RefusedError: the file that holds it cannot be read.
    """
    own = folder / "chat_template.jinja"
    if own.is_file():
        try:
            return own.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RefusedError(f"Cannot read {own} ({error}): pull the base model again.") from error
    for name in ("chat_template.json", "tokenizer_config.json"):
        found = _read_json(folder / name).get("chat_template")
        if isinstance(found, list):  # several by name, as older Hub repositories have them
            named = (each for each in found if isinstance(each, dict) and each.get("name") == "default")
            found = next((each.get("template") for each in named), None)
        if isinstance(found, str) and found:
            return found
    return None


def _prepended_token(tokenizer: Tokenizer) -> str:
    """What the tokenizer puts before every text (OPT's ``</s>``), or ``""``: the fallback template has to write it."""
    ids = tokenizer.encode("a", add_special_tokens=True).ids
    plain = tokenizer.encode("a", add_special_tokens=False).ids
    before = ids[: max(0, len(ids) - len(plain))] if ids[-len(plain) :] == plain else ids[:1]
    return "".join(tokenizer.id_to_token(token) or "" for token in before)


def _end_ids(folder: Path, tokenizer: Tokenizer, eos: str) -> frozenset[int]:
    ends: set[int] = set()
    for name in ("generation_config.json", "config.json"):
        found = _read_json(folder / name).get("eos_token_id")
        ends |= {token for token in (found if isinstance(found, list) else [found]) if isinstance(token, int)}
    token = tokenizer.token_to_id(eos) if eos else None
    if token is not None:
        ends.add(token)
    if not ends:
        raise RefusedError(f"The base in {folder} names no eos_token_id: its replies would never end.")
    return frozenset(ends)


def _token_text(token: Any) -> str:
    return token.get("content", "") if isinstance(token, dict) else token or ""


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise RefusedError(f"Cannot read {path} ({error}): pull the base model again.") from error
    return found if isinstance(found, dict) else {}
