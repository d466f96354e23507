"""What a template cannot write: system prompts and two turns of one role in a row, in the prompt and in the mask."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import RefusedError
from lora_chat.models.installed import InstalledBase
from lora_chat.models.prompt import PromptFormat, load_prompt_format
from lora_chat.models.roles import Roles
from tests.conftest import CHATML

STRICT = (
    "{% for m in messages %}"
    "{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
    "<|im_start|>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>model\n{% endif %}"
)
"""Gemma 2's habit in short."""

SILENT = STRICT.replace("{{ raise_exception('System role not supported') }}", "{% continue %}").replace(
    "(m.role == 'user') != (loop.index0 % 2 == 0)", "false"
)
"""Leaves a system prompt out without a word."""

ALTERNATING = STRICT.replace("{{ raise_exception('System role not supported') }}", "").replace(
    "(m.role == 'user') != (loop.index0 % 2 == 0)", "loop.index0 and m.role == messages[loop.index0 - 1].role"
)
"""Takes a system prompt, and no two questions in a row."""

SYSTEM, ASKED, AGAIN = Turn(Role.SYSTEM, "Be brief."), Turn(Role.USER, "Where?"), Turn(Role.USER, "Where, please?")
SAID = Turn(Role.ASSISTANT, "At 12 Harbour Street.")


@pytest.fixture
def chatml(tiny_llama: InstalledBase) -> PromptFormat:
    return load_prompt_format(tiny_llama.folder)


def written(prompt: PromptFormat, *turns: Turn) -> str:
    return str(prompt.tokenizer.decode(prompt.encode_prompt(turns), skip_special_tokens=False))


def asked(*contents: str) -> str:
    return "<|im_start|>user\n" + "\n\n".join(contents) + "<|im_end|>\n<|im_start|>model\n"


@pytest.mark.parametrize(
    ("template", "system", "neighbours"),
    [(CHATML, True, True), (STRICT, False, False), (SILENT, False, True), (ALTERNATING, True, False)],
    ids=["ChatML", "strict", "silent", "alternating"],
)
def test_what_a_template_writes_is_found_by_having_it_write(
    chatml: PromptFormat, template: str, system: bool, neighbours: bool
) -> None:
    assert Roles.of(replace(chatml, template=template)._write) == Roles(system, neighbours)


@pytest.mark.parametrize("template", [STRICT, SILENT], ids=["strict", "silent"])
def test_a_system_prompt_stands_before_the_question(chatml: PromptFormat, template: str) -> None:
    strict = replace(chatml, template=template)
    assert written(strict, SYSTEM, ASKED) == asked("Be brief.", "Where?")
    after = written(strict, SYSTEM, ASKED, SAID, AGAIN)
    assert after == asked("Be brief.", "Where?") + f"{SAID.content}<|im_end|>\n" + asked("Where, please?")


def test_a_question_that_got_no_answer_stands_before_the_next(chatml: PromptFormat) -> None:
    assert written(replace(chatml, template=STRICT), ASKED, AGAIN) == asked("Where?", "Where, please?")
    shown = written(replace(chatml, template=ALTERNATING), SYSTEM, ASKED, AGAIN)
    assert shown == "<|im_start|>system\nBe brief.<|im_end|>\n" + asked("Where?", "Where, please?")


def test_what_a_template_can_write_is_left_as_it_is(chatml: PromptFormat) -> None:
    turns = [SYSTEM, ASKED, AGAIN, SAID]
    assert Roles(True, True).fitted(turns) == turns


def test_the_mask_is_the_answer_alone(chatml: PromptFormat) -> None:
    strict = replace(chatml, template=STRICT)
    (example,) = strict.examples([SYSTEM, ASKED, SAID, AGAIN, SAID], (2, 4))
    learnt = [token for token, counts in zip(example.ids, example.supervised, strict=True) if counts]
    text = strict.tokenizer.decode(learnt, skip_special_tokens=False)
    assert text == f"{SAID.content}<|im_end|>" * 2
    prompt = strict.encode_prompt([SYSTEM, ASKED])
    assert list(example.ids[: len(prompt)]) == prompt


def test_the_next_prompt_begins_with_what_was_read_ahead(chatml: PromptFormat) -> None:
    strict = replace(chatml, template=STRICT)
    for said in ([SYSTEM], [SYSTEM, ASKED, SAID]):
        ahead, prompt = strict.encode_beginning(said), strict.encode_prompt([*said, AGAIN])
        assert prompt[: len(ahead)] == ahead
        assert len(ahead) > 3


def test_control_tokens_in_what_is_joined_are_text(chatml: PromptFormat) -> None:
    strict = replace(chatml, template=STRICT)
    ids = strict.encode_prompt([Turn(Role.SYSTEM, "<|im_end|>"), ASKED])
    assert ids.count(strict.tokenizer.token_to_id("<|im_end|>") or -1) == 1
    assert asked("<|im_end|>", "Where?") == strict.tokenizer.decode(ids, skip_special_tokens=False)


def test_a_talk_that_begins_with_an_answer_is_still_the_templates_to_refuse(chatml: PromptFormat) -> None:
    with pytest.raises(RefusedError, match="roles must alternate"):
        replace(chatml, template=STRICT).encode_prompt([SAID, ASKED])
