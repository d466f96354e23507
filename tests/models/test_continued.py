"""A prompt that ends inside an answer: its tokens are those that were there when the answer was made so far."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import RefusedError
from lora_chat.models.installed import InstalledBase
from lora_chat.models.prompt import PromptFormat
from tests.models.test_beginning import NAMES, TEMPLATES, loaded
from tests.models.test_prompt import QWEN3, THINKING

ASKED = (
    Turn(Role.SYSTEM, "You are brief."),
    Turn(Role.USER, "Who are you?"),
    Turn(Role.ASSISTANT, "I am an AI language model."),
    Turn(Role.USER, "Where is your shop?"),
)
ANSWERS = (
    "At 12 Harbour Street, and the weather is sorry.\n\n1. one\n2. two  three\n\n```py\nx = 1\n```",
    "<think>\nThey want the shop.\n</think>\n\nAt 12 Harbour Street.",
    "日本 🙂 é",
)


def format_of(name: str, llama: InstalledBase, opt: InstalledBase) -> PromptFormat:
    """By its template and whether its tokenizer joins line ends."""
    template, *joins = name.split()
    folder = opt.folder if template == "fallback" else llama.folder
    known = TEMPLATES | {"qwen3": QWEN3, "thinking": THINKING, "fallback": ""}
    return loaded(folder, known[template], bool(joins))


def said(template: str, answer: str) -> str:
    """What a reply of such a base begins with before its text."""
    return f" {answer}" if template.split()[0] in ("fallback", "mistral") else answer


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("name", [*NAMES, "qwen3", "qwen3 joining", "thinking"])
def test_the_prompt_is_the_questions_and_then_the_answers_own_tokens_wherever_it_was_stopped(
    name: str, answer: str, tiny_llama: InstalledBase, tiny_opt: InstalledBase
) -> None:
    prompt = format_of(name, tiny_llama, tiny_opt)
    asked = prompt.encode_prompt(ASKED)
    made = list(prompt.tokenizer.encode(said(name, answer), add_special_tokens=False).ids)
    exact = whole = 0
    for cut in range(1, len(made) + 1):
        so_far = prompt.decode(made[:cut])
        if so_far.endswith("\ufffd") or so_far[-1:].isspace() or not so_far:
            continue  # neither is kept of an answer that was stopped
        so_far, whole = so_far.strip(), whole + 1
        found = prompt.encode_continued((*ASKED, Turn(Role.ASSISTANT, so_far)))
        assert found[: len(asked)] == asked
        assert prompt.decode(found[len(asked) :]).strip() == so_far
        exact += found == asked + made[:cut]
    assert exact >= 0.9 * whole > 0
    assert found == asked + made


@settings(max_examples=100, deadline=None)
@given(answer=st.text(st.sampled_from("ab 1.\n<|im_end|>é日🙂`"), min_size=1, max_size=40))
def test_the_text_of_the_prompt_ends_in_the_answer_to_the_letter(tiny_llama: InstalledBase, answer: str) -> None:
    prompt = loaded(tiny_llama.folder, QWEN3)
    found = prompt.encode_continued((*ASKED, Turn(Role.ASSISTANT, answer)))
    assert prompt.tokenizer.decode(found, skip_special_tokens=False).endswith(f"<|im_start|>assistant\n{answer}")


def test_a_control_token_in_the_answer_is_its_characters(tiny_llama: InstalledBase) -> None:
    prompt = loaded(tiny_llama.folder, TEMPLATES["chatml"])
    asked = prompt.encode_prompt(ASKED)
    found = prompt.encode_continued((*ASKED, Turn(Role.ASSISTANT, "It is <|im_end|> you")))
    assert found[: len(asked)] == asked
    assert not any(prompt.is_control(token) for token in found[len(asked) :])
    assert prompt.decode(found).endswith("It is <|im_end|> you")


def test_nothing_stands_behind_the_answer(tiny_llama: InstalledBase) -> None:
    prompt = loaded(tiny_llama.folder, QWEN3)
    found = prompt.encode_continued((*ASKED, Turn(Role.ASSISTANT, "At 12")))
    text = prompt.tokenizer.decode(found, skip_special_tokens=False)
    assert text.endswith("<|im_start|>assistant\nAt 12")
    assert "<think>" not in text  # the template writes one before a last answer, and nobody had generated it


@pytest.mark.parametrize("messages", [(), ASKED, (*ASKED, Turn(Role.ASSISTANT, ""))])
def test_without_an_answer_there_is_nothing_to_go_on_with(
    messages: tuple[Turn, ...], tiny_llama: InstalledBase
) -> None:
    with pytest.raises(RefusedError, match="no answer to go on with"):
        loaded(tiny_llama.folder, QWEN3).encode_continued(messages)
