"""What is read ahead of a prompt is what that prompt begins with, whichever template writes it and whatever is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import RefusedError
from lora_chat.models.installed import InstalledBase
from lora_chat.models.prompt import PromptFormat, load_prompt_format
from tests.conftest import CHATML, WORDS

SMOLLM = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}"
    "{% endif %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] | trim %}"
    "{% set rest = messages[1:] %}{% else %}{% set system = '' %}{% set rest = messages %}{% endif %}"
    "<|im_start|>system<|im_end|>\n\nCutting Knowledge Date: December 2023\n\n{{ system }}<|im_end|>"
    "{% for message in rest %}<|im_start|>{{ message['role'] }}<|im_end|>\n\n{{ message['content'] | trim }}<|im_end|>"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant<|im_end|>\n\n{% endif %}"
)
"""Llama 3's habit: a system block whether or not there is a prompt, and every content trimmed."""

QWEN = (
    "{% set ns = namespace(last=-1) %}"
    "{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% for m in messages %}{% set content = m.content %}"
    "{% if m.role == 'assistant' and '</think>' in content and loop.index0 < ns.last %}"
    "{% set content = content.split('</think>')[-1].lstrip('\\n') %}{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Qwen3's habit: an answer before the last question loses its thinking."""

MISTRAL = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}"
    "{% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}"
    "{% for m in rest %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if m['role'] == 'user' %}{% if loop.last and system is defined %}"
    "{{ '[INST] ' + system + '\n\n' + m['content'] + '[/INST]' }}{% else %}{{ '[INST] ' + m['content'] + '[/INST]' }}"
    "{% endif %}{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
)
"""Mistral's habits: roles must take turns, and the system prompt stands in the last question, so it moves."""

LAST_FIRST = "{% for m in messages | reverse %}{{ m['content'] }}<|im_end|>{% endfor %}"
"""Nobody's habit: nothing of the next prompt is known before it is written."""

TEMPLATES = {"chatml": CHATML, "smollm": SMOLLM, "llama": LLAMA, "qwen": QWEN, "mistral": MISTRAL, "last": LAST_FIRST}
NAMES = [f"{name}{joins}" for name in [*TEMPLATES, "fallback"] for joins in ("", " joining")]
JOINED = ["a\n\nb", "a\n\n\nb", "a  b", "a\n b", "a \n\n", "(: 1)", "Q: \n", "12 345", "...", "1\n\n2\n\n", "\n\t\t"]


@cache
def loaded(folder: Path, template: str, joins: bool = False) -> PromptFormat:
    """``joins``: with Llama 3's and Qwen's idea of a word, in which lines that end together are one."""
    prompt = load_prompt_format(folder)
    prompt = replace(prompt, template=template) if template else prompt
    return replace(prompt, tokenizer=joining(prompt)) if joins else prompt


def joining(prompt: PromptFormat) -> Tokenizer:
    specials = [token.content for _, token in sorted(prompt.tokenizer.get_added_tokens_decoder().items())]
    tokenizer = Tokenizer(models.BPE())
    words = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    split, plain = pre_tokenizers.Split(Regex(words), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, plain])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([WORDS, *JOINED] * 4, trainer)
    assert tokenizer.encode("\n\n<", add_special_tokens=False).tokens[0] == "ĊĊ"
    return tokenizer


@pytest.fixture(scope="module", params=NAMES)
def prompt(request: pytest.FixtureRequest, tiny_llama: InstalledBase, tiny_opt: InstalledBase) -> PromptFormat:
    name, _, joins = request.param.partition(" ")
    if name == "fallback":
        return loaded(tiny_opt.folder, "", bool(joins))
    return loaded(tiny_llama.folder, TEMPLATES[name], bool(joins))


PIECES = [
    *["<|im_end|>", "<|im_start|>", "</s>", "<|im_", "[/INST]", "user", "assistant", "\n", "\n\n", " ", "  ", "\t"],
    *[
        "a",
        "1",
        "12",
        "é",
        "日",
        "😀",
        "'s",
        "...",
        ":",
        "</think>",
        "<think>",
        "\ue000",
        "\ue0011\ue001",
        "\ud800",
        "Q:",
    ],
]
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join) | st.text(min_size=1, max_size=20)
PLAIN = TEXTS.filter(lambda text: not text[0].isspace())
"""What most people write."""


def talk(system: str, texts: Sequence[str]) -> list[Turn]:
    """Questions and answers, the last one an answer."""
    whole = texts[: len(texts) // 2 * 2]
    turns = [Turn(Role.ASSISTANT if place % 2 else Role.USER, text) for place, text in enumerate(whole)]
    return [Turn(Role.SYSTEM, system), *turns] if system else turns


@given(system=st.just("") | TEXTS, texts=st.lists(TEXTS, max_size=6), question=TEXTS.filter(str.strip))
@settings(max_examples=200, deadline=None)
def test_every_prompt_begins_with_what_was_read_ahead_of_it(
    prompt: PromptFormat, system: str, texts: list[str], question: str
) -> None:
    messages = talk(system, texts)
    ahead = prompt.encode_beginning(messages)
    following = prompt.encode_prompt([*messages, Turn(Role.USER, question)])
    assert following[: len(ahead)] == ahead


@given(system=st.just("") | TEXTS, texts=st.lists(TEXTS, max_size=6), question=PLAIN)
@settings(max_examples=100, deadline=None)
def test_no_more_could_have_been_read_ahead_but_a_few_tokens(
    tiny_llama: InstalledBase, system: str, texts: list[str], question: str
) -> None:
    """All but what is said and what ends it; what holds no control token is compared with what is written anyhow."""
    prompt = loaded(tiny_llama.folder, CHATML)
    messages = talk(system, texts)
    assume("<|im_" not in question)
    rest = prompt.encode_prompt([Turn(Role.USER, question)])
    following = prompt.encode_prompt([*messages, Turn(Role.USER, question)])
    assert len(prompt.encode_beginning(messages)) >= len(following) - len(rest)


@given(system=st.just("") | TEXTS, texts=st.lists(TEXTS, max_size=4), question=TEXTS)
@settings(max_examples=50, deadline=None)
def test_after_a_question_without_an_answer_it_is_what_a_retry_reads(
    prompt: PromptFormat, system: str, texts: list[str], question: str
) -> None:
    asked = [*talk(system, texts), Turn(Role.USER, question)]
    assert prompt.encode_beginning(asked) == prompt.encode_prompt(asked)


@pytest.mark.parametrize("messages", [(), (Turn(Role.SYSTEM, "You are brief."),)], ids=["nothing", "a system prompt"])
def test_before_the_first_message_there_is_a_beginning_too(prompt: PromptFormat, messages: tuple[Turn, ...]) -> None:
    ahead = prompt.encode_beginning(messages)
    first = prompt.encode_prompt([*messages, Turn(Role.USER, "Who are you?")])
    assert ahead == first[: len(ahead)]
    assert len(ahead) < len(first)


def test_a_long_system_prompt_is_read_before_anything_is_said(tiny_llama: InstalledBase) -> None:
    for name in ("chatml", "smollm", "llama", "qwen"):
        prompt = loaded(tiny_llama.folder, TEMPLATES[name])
        long = "You are brief. " * 20
        alone = prompt.tokenizer.encode(long.strip(), add_special_tokens=False).ids
        assert len(prompt.encode_beginning([Turn(Role.SYSTEM, long)])) > len(alone)


def test_an_answers_thinking_is_not_read_ahead_where_the_next_prompt_drops_it(tiny_llama: InstalledBase) -> None:
    prompt = loaded(tiny_llama.folder, QWEN)
    messages = [Turn(Role.USER, "Who?"), Turn(Role.ASSISTANT, "<think>\nhm\n</think>\n\nI am.")]
    written = prompt.tokenizer.decode(prompt.encode_beginning(messages), skip_special_tokens=False)
    assert "hm" not in written
    assert "I am.<|im_end|>" in written


def test_a_system_prompt_that_moves_is_read_where_it_stays(tiny_llama: InstalledBase) -> None:
    prompt = loaded(tiny_llama.folder, MISTRAL)
    messages = talk("Be brief.", ["Who?", "I am."])
    written = prompt.tokenizer.decode(prompt.encode_beginning(messages), skip_special_tokens=False)
    assert written.startswith("<|im_start|>[INST] Who?[/INST] I am.<|im_end|>[INST] Be brief.")


def test_roles_that_do_not_take_turns_are_refused_as_the_reply_would_be(tiny_llama: InstalledBase) -> None:
    prompt = loaded(tiny_llama.folder, MISTRAL)
    with pytest.raises(RefusedError, match="alternate"):
        prompt.encode_beginning([Turn(Role.ASSISTANT, "one")])


def test_two_turns_of_one_role_are_read_ahead_as_one(tiny_llama: InstalledBase) -> None:
    prompt = loaded(tiny_llama.folder, MISTRAL)
    two = [Turn(Role.USER, "one"), Turn(Role.USER, "two")]
    assert prompt.encode_beginning(two) == prompt.encode_beginning([Turn(Role.USER, "one\n\ntwo")])
    again = [*talk("", ["q", "a"]), Turn(Role.ASSISTANT, "again")]
    next_prompt = prompt.encode_prompt([*again, Turn(Role.USER, "q2")])
    ahead = prompt.encode_beginning(again)
    assert next_prompt[: len(ahead)] == ahead
    assert len(ahead) > 4


def test_a_control_token_in_what_was_said_is_text_in_what_is_read_ahead(tiny_llama: InstalledBase) -> None:
    prompt = loaded(tiny_llama.folder, CHATML)
    plain = prompt.encode_beginning(talk("", ["q", "a"]))
    typed = prompt.encode_beginning(talk("", ["q<|im_end|>", "a"]))
    control = prompt.tokenizer.token_to_id("<|im_end|>")
    assert control is not None
    assert typed.count(control) == plain.count(control)
