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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import RefusedError

if TYPE_CHECKING:
    import jinja2
    from tokenizers import Tokenizer

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
        text, guard = self._render(messages, answer_next=True)
        return self._encode(text, guard)

    def examples(self, messages: Sequence[Turn], learn: Sequence[int]) -> list[Example]:
        """Training sequences of one conversation: loss on the assistant turns at the indices ``learn``.

        One sequence for all of them where the template writes each prompt as the beginning of the next; one for each
        turn where it does not (Qwen3 drops earlier thinking).

        Raises:
            RefusedError: a turn at ``learn`` is not the assistant's or is empty, or its mask cannot be proved.
        """
        stripped = [replace(turn, content=turn.content.strip()) for turn in messages]
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

    def _alone(self, messages: Sequence[Turn], index: int) -> Example:
        sequence = self._sequence(messages[: index + 1], [index])
        if sequence is None:
            raise RefusedError(
                f"Message {index + 1} cannot be learnt: "
                f"this base's chat template rewrites the prompt when it is answered."
            )
        return sequence

    def _sequence(self, messages: Sequence[Turn], learn: Sequence[int]) -> Example | None:
        """All of ``learn`` in one sequence, or None where one rendered prompt is not the beginning of the next."""
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
        if learnt.strip() != content:
            raise RefusedError(
                f"The loss mask is wrong for this base's chat template: {learnt[:60]!r} would be learnt "
                f"instead of {content[:60]!r}; please report the base model's name."
            )

    @property
    def _eos_id(self) -> int:
        token = self.tokenizer.token_to_id(self.eos_token) if self.eos_token else None
        return token if token is not None else min(self.end_ids)

    def _render(self, messages: Sequence[Turn], *, answer_next: bool, guard: str | None = None) -> tuple[str, str]:
        """Write the template out, control tokens inside contents broken by a ``guard`` character (``""`` if none)."""
        if guard is None:
            guard = self._guard(messages)
        written = [{"role": turn.role.value, "content": self._break_controls(turn.content, guard)} for turn in messages]
        text = self._compiled.render(
            messages=written,
            add_generation_prompt=answer_next,
            bos_token=self.bos_token,
            eos_token=self.eos_token,
            tools=None,
            documents=None,
        )
        return text, guard

    @cached_property
    def _compiled(self) -> jinja2.Template:
        import jinja2
        from jinja2.ext import loopcontrols
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        def raise_exception(message: str) -> None:
            raise RefusedError(f"This base's chat template refuses the conversation: {message}")

        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        environment.globals["raise_exception"] = raise_exception
        environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
        try:
            return environment.from_string(self.template)
        except jinja2.TemplateError as error:
            raise RefusedError(f"This base's chat template cannot be read ({error}).") from error

    @cached_property
    def _controls(self) -> re.Pattern[str]:
        """Matches every control token's text."""
        tokens = sorted(self._control_ids, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, tokens)) or r"(?!)")

    @cached_property
    def _control_ids(self) -> dict[str, int]:
        added = self.tokenizer.get_added_tokens_decoder()
        return {token.content: token_id for token_id, token in added.items() if token.special}

    def _guard(self, messages: Sequence[Turn]) -> str:
        """A private-use character that stands in no message, or ``""`` where no message holds a control token."""
        everything = "".join(turn.content for turn in messages)
        if not self._controls.search(everything):
            return ""
        return next(chr(code) for code in range(0xE000, 0xF8FF) if chr(code) not in everything)

    def _break_controls(self, content: str, guard: str) -> str:
        return self._controls.sub(lambda found: found[0][0] + guard + found[0][1:], content) if guard else content

    def _encode(self, text: str, guard: str) -> list[int]:
        if not guard:
            return list(self.tokenizer.encode(text, add_special_tokens=False).ids)
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
        return list(self._plain_tokenizer.encode(piece.replace(guard, ""), add_special_tokens=False).ids)

    @cached_property
    def _plain_tokenizer(self) -> Tokenizer:
        """The same tokenizer, to which a control token's text is text."""
        from tokenizers import Tokenizer

        plain = Tokenizer.from_str(self.tokenizer.to_str())
        plain.encode_special_tokens = True
        return plain


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
    """The base's own chat template, from its own file or the tokenizer's settings; None where it has none."""
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_text(encoding="utf-8")
    found = _read_json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(found, list):  # named templates, as older Hub repositories have them
        found = next((each.get("template") for each in found if each.get("name") == "default"), None)
    return found if isinstance(found, str) and found else None


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
    except (OSError, ValueError) as error:
        raise RefusedError(f"Cannot read {path} ({error}): pull the base model again.") from error
    return found if isinstance(found, dict) else {}
