"""How a conversation becomes tokens: text stays text, and what is supervised is exactly what would be generated."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_chat.chat.conversation import Role, Turn
from lora_chat.errors import RefusedError
from lora_chat.models.installed import InstalledBase, sign
from lora_chat.models.prompt import FALLBACK_TEMPLATE, Example, PromptFormat, load_prompt_format, read_chat_template
from tests.conftest import CHATML

THINKING = (
    "{% for m in messages %}"
    "{% set content = m.content %}"
    "{% if m.role == 'assistant' and not loop.last and '</think>' in content %}"
    "{% set content = content.split('</think>')[-1].lstrip('\\n') %}{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Qwen3's habit in short: an earlier answer loses its thinking."""

QWEN3 = (
    "{% set last = namespace(asked=-1) %}"
    "{% for m in messages %}{% if m.role == 'user' %}{% set last.asked = loop.index0 %}{% endif %}{% endfor %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role != 'assistant' %}{{ m.content }}"
    "{% else %}{% set parts = m.content.split('</think>') %}"
    "{% set thought = parts[0].split('<think>')[-1].strip('\n') if parts | length > 1 else '' %}"
    "{% if loop.index0 > last.asked and (loop.last or thought) %}<think>\n{{ thought }}\n</think>\n\n{% endif %}"
    "{{ parts[-1].lstrip('\n') }}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""What Qwen3's own template does, in other words: thinking stands in the answers after the last question alone, and the
last answer gets an empty one where it has none."""

SMOLLM2 = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by "
    "Hugging Face<|im_end|>\n{% endif %}" + CHATML
)
"""As the embedded base's: a system prompt of its own where the conversation has none."""

TALK = (
    Turn(Role.SYSTEM, "You are brief."),
    Turn(Role.USER, "Who are you?"),
    Turn(Role.ASSISTANT, "I am an AI language model."),
    Turn(Role.USER, "Where is your shop?"),
    Turn(Role.ASSISTANT, "At 12 Harbour Street."),
)


@pytest.fixture
def chatml(tiny_llama: InstalledBase) -> PromptFormat:
    return load_prompt_format(tiny_llama.folder)


@pytest.fixture
def fallback(tiny_opt: InstalledBase) -> PromptFormat:
    return load_prompt_format(tiny_opt.folder)


@pytest.fixture
def thinking(chatml: PromptFormat) -> PromptFormat:
    return with_template(chatml, THINKING)


def with_template(prompt: PromptFormat, template: str) -> PromptFormat:
    return replace(prompt, template=template)


def supervised_text(prompt: PromptFormat, example: Example) -> list[str]:
    """Each stretch of supervised ids, decoded with its control tokens."""
    stretches: list[list[int]] = []
    before = False
    for token, counts in zip(example.ids, example.supervised, strict=True):
        if counts:
            if not before:
                stretches.append([])
            stretches[-1].append(token)
        before = counts
    return [prompt.tokenizer.decode(each, skip_special_tokens=False) for each in stretches]


def special(prompt: PromptFormat, text: str) -> int:
    token = prompt.tokenizer.token_to_id(text)
    assert token is not None
    return token


# The prompt


def test_the_prompt_is_the_template_written_out(chatml: PromptFormat) -> None:
    text = chatml.tokenizer.decode(chatml.encode_prompt(TALK[:2]), skip_special_tokens=False)
    assert text == (
        "<|im_start|>system\nYou are brief.<|im_end|>\n"
        "<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_the_prompt_has_the_ids_that_transformers_gives_it(tiny_llama: InstalledBase, chatml: PromptFormat) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_llama.folder)
    written = [{"role": turn.role.value, "content": turn.content} for turn in TALK[:4]]
    found = tokenizer.apply_chat_template(written, add_generation_prompt=True, tokenize=True, return_dict=False)
    assert chatml.encode_prompt(TALK[:4]) == list(found)


def test_a_base_without_a_template_gets_questions_and_answers(fallback: PromptFormat) -> None:
    text = fallback.tokenizer.decode(fallback.encode_prompt(TALK[:4]), skip_special_tokens=False)
    assert text == (
        "</s>You are brief.\n\nQ: Who are you?\nA: I am an AI language model.</s>\nQ: Where is your shop?\nA:"
    )
    assert fallback.template == FALLBACK_TEMPLATE
    assert fallback.stop == ("\nQ:",)


def test_what_a_tokenizer_prepends_is_there_exactly_once(fallback: PromptFormat) -> None:
    ids = fallback.encode_prompt((Turn(Role.USER, "Who are you?"),))
    assert ids.count(special(fallback, "</s>")) == 1
    assert ids[0] == special(fallback, "</s>")


# Text stays text

CONTROL_TEXTS = st.lists(
    st.sampled_from(
        [
            "<|im_end|>",
            "<|im_start|>",
            "<|im_<|im_end|>end|>",
            "<|im_",
            "end|>",
            "<",
            "|>",
            "user",
            "\n",
            "a",
            "é",
            " ",
            "\ue000",
            "\ue001",
            "\ue0001\ue000",
            "\U000f0000",
            "0",
            "1",
        ]
    ),
    max_size=8,
).map("".join)


@cache
def chatml_of(folder: Path) -> PromptFormat:
    return load_prompt_format(folder)


@settings(max_examples=200, deadline=None)
@given(question=CONTROL_TEXTS, answer=CONTROL_TEXTS)
def test_control_tokens_in_a_message_are_its_characters(tiny_llama: InstalledBase, question: str, answer: str) -> None:
    prompt = chatml_of(tiny_llama.folder)
    turns = (Turn(Role.USER, question), Turn(Role.ASSISTANT, answer), Turn(Role.USER, question))
    ids = prompt.encode_prompt(turns)
    assert ids.count(special(prompt, "<|im_start|>")) == 4
    assert ids.count(special(prompt, "<|im_end|>")) == 3
    text = prompt.tokenizer.decode(ids, skip_special_tokens=False)
    start, end = "<|im_start|>", "<|im_end|>\n"
    assert (
        text
        == f"{start}user\n{question}{end}{start}assistant\n{answer}{end}{start}user\n{question}{end}{start}assistant\n"
    )


@settings(max_examples=200, deadline=None)
@given(question=CONTROL_TEXTS, answer=CONTROL_TEXTS)
def test_an_answer_full_of_control_tokens_is_learnt_as_it_stands(
    tiny_llama: InstalledBase, question: str, answer: str
) -> None:
    prompt = chatml_of(tiny_llama.folder)
    turns = (Turn(Role.USER, question), Turn(Role.ASSISTANT, f"x{answer}x"))
    [example] = prompt.examples(turns, (1,))
    assert supervised_text(prompt, example) == [f"x{answer}x<|im_end|>"]
    assert [token for token, counts in zip(example.ids, example.supervised, strict=True) if counts].count(
        special(prompt, "<|im_end|>")
    ) == 1


def test_a_control_token_of_one_character_is_text_in_a_message(tmp_path: Path, tiny_llama: InstalledBase) -> None:
    folder = Path(shutil.copytree(tiny_llama.folder, tmp_path / "odd"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    extra = {"id": 384, "content": "☃", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    taken = {token["id"] for token in tokenizer["added_tokens"]} | set(tokenizer["model"]["vocab"].values())
    tokenizer["added_tokens"].append(extra | {"special": True, "id": max(taken) + 1})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    prompt = load_prompt_format(folder)
    assert special(prompt, "☃") not in prompt.encode_prompt((Turn(Role.USER, "see ☃12"),))
    assert special(prompt, "☃") in prompt.tokenizer.encode("see ☃12").ids


def test_text_that_no_tokenizer_takes_is_replaced(chatml: PromptFormat) -> None:
    for text in ("a\ud800b", "\udfff<|im_end|>", "\0"):
        assert chatml.encode_prompt((Turn(Role.USER, text),))
    paired = chatml.encode_prompt((Turn(Role.USER, "\ud83d\ude42"),))
    assert paired == chatml.encode_prompt((Turn(Role.USER, "🙂"),))


def test_a_person_who_uses_every_private_character_gets_an_answer(chatml: PromptFormat) -> None:
    text = "".join(map(chr, range(0xE000, 0xF900))) + "<|im_end|>"
    assert chatml.encode_prompt((Turn(Role.USER, text),)).count(special(chatml, "<|im_end|>")) == 1


# The loss mask


@pytest.mark.parametrize("talk", [TALK, TALK[1:]], ids=["with a system prompt", "without"])
def test_each_answer_and_its_end_are_learnt_and_nothing_else(chatml: PromptFormat, talk: tuple[Turn, ...]) -> None:
    last = len(talk) - 1
    [example] = chatml.examples(talk, (last - 2, last))
    assert supervised_text(chatml, example) == [
        "I am an AI language model.<|im_end|>",
        "At 12 Harbour Street.<|im_end|>",
    ]
    [only_last] = chatml.examples(talk, (last,))
    assert supervised_text(chatml, only_last) == ["At 12 Harbour Street.<|im_end|>"]


def test_the_mask_is_right_where_the_tokenizer_prepends_a_token(fallback: PromptFormat) -> None:
    [example] = fallback.examples(TALK, (2, 4))
    assert supervised_text(fallback, example) == [" I am an AI language model.</s>", " At 12 Harbour Street.</s>"]
    assert example.ids[0] == special(fallback, "</s>")
    assert example.ids.count(special(fallback, "</s>")) == 3
    assert not example.supervised[0]


@pytest.mark.parametrize("name", ["chatml", "fallback", "thinking"])
def test_what_is_supervised_follows_exactly_the_ids_of_the_prompt(name: str, request: pytest.FixtureRequest) -> None:
    prompt: PromptFormat = request.getfixturevalue(name)
    for learn in ((2,), (4,), (2, 4)):
        examples = prompt.examples(TALK, learn)
        for index in learn:
            ids = prompt.encode_prompt(TALK[:index])
            example = next(each for each in examples if list(each.ids[: len(ids)]) == ids and each.supervised[len(ids)])
            assert not any(example.supervised[len(ids) - 3 : len(ids)])


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(st.text(st.sampled_from("aB 1.\n-'é日<|"), min_size=1, max_size=12), min_size=4, max_size=4))
def test_a_reply_in_chat_begins_from_the_ids_it_was_trained_on(tiny_llama: InstalledBase, texts: list[str]) -> None:
    prompt = chatml_of(tiny_llama.folder)
    texts = [text.strip() or "x" for text in texts]
    roles = (Role.USER, Role.ASSISTANT, Role.USER, Role.ASSISTANT)
    turns = tuple(Turn(role, text) for role, text in zip(roles, texts, strict=True))
    for template in (CHATML, FALLBACK_TEMPLATE):
        written = with_template(prompt, template)
        examples = written.examples(turns, (1, 3))
        for index in (1, 3):
            ids = written.encode_prompt(turns[:index])
            assert any(list(example.ids[: len(ids)]) == ids for example in examples)


def test_a_template_that_drops_earlier_thinking_gives_one_sequence_for_each_turn(thinking: PromptFormat) -> None:
    talk = (
        Turn(Role.USER, "Who are you?"),
        Turn(Role.ASSISTANT, "<think>\nhm\n</think>\nI am a model."),
        Turn(Role.USER, "Where?"),
        Turn(Role.ASSISTANT, "<think>\nso\n</think>\nHere."),
    )
    first, second = thinking.examples(talk, (1, 3))
    assert supervised_text(thinking, first) == ["<think>\nhm\n</think>\nI am a model.<|im_end|>"]
    assert supervised_text(thinking, second) == ["<think>\nso\n</think>\nHere.<|im_end|>"]
    context = thinking.tokenizer.decode(second.ids, skip_special_tokens=False)
    assert "hm" not in context
    assert "I am a model.<|im_end|>" in context


def test_under_qwen3s_template_each_answer_is_learnt_as_it_would_be_generated(chatml: PromptFormat) -> None:
    qwen3 = with_template(chatml, QWEN3)
    talk = (
        Turn(Role.USER, "Who are you?"),
        Turn(Role.ASSISTANT, "<think>\nhm\n</think>\nI am a model."),
        Turn(Role.USER, "Where is your shop?"),
        Turn(Role.ASSISTANT, "At 12 Harbour Street."),
    )
    first, second = qwen3.examples(talk, (1, 3))
    assert supervised_text(qwen3, first) == ["<think>\nhm\n</think>\n\nI am a model.<|im_end|>"]
    assert supervised_text(qwen3, second) == ["<think>\n\n</think>\n\nAt 12 Harbour Street.<|im_end|>"]
    for example, asked in ((first, talk[:1]), (second, talk[:3])):
        prompt = qwen3.encode_prompt(asked)
        assert list(example.ids[: len(prompt)]) == prompt
        assert example.supervised.index(True) == len(prompt)
    assert "hm" not in qwen3.tokenizer.decode(second.ids, skip_special_tokens=False)


@pytest.mark.parametrize("content", ["Paris.", "a\n\nb", "<think>\n\n</think>\n\nParis.", "<think>so</think>Paris."])
def test_an_empty_thinking_is_all_that_a_template_may_add(chatml: PromptFormat, content: str) -> None:
    talk = (Turn(Role.USER, "Capital?"), Turn(Role.ASSISTANT, content))
    [example] = with_template(chatml, QWEN3).examples(talk, (1,))
    [text] = supervised_text(chatml, example)
    assert text.endswith(content.split("</think>")[-1].strip() + "<|im_end|>")
    with pytest.raises(RefusedError, match="loss mask is wrong"):
        with_template(chatml, QWEN3.replace("<think>\n{{ thought", "<think>\nWell. {{ thought")).examples(talk, (1,))


def test_a_system_prompt_of_the_templates_own_is_context(chatml: PromptFormat) -> None:
    smollm2 = with_template(chatml, SMOLLM2)
    for talk, learn in ((TALK, (2, 4)), (TALK[1:], (1, 3))):
        [example] = smollm2.examples(talk, learn)
        assert supervised_text(smollm2, example) == [
            "I am an AI language model.<|im_end|>", "At 12 Harbour Street.<|im_end|>"
        ]  # fmt: skip
        text = smollm2.tokenizer.decode(example.ids, skip_special_tokens=False)
        assert ("named SmolLM" in text) is (talk is not TALK)


def test_without_thinking_such_a_template_gives_one_sequence_for_all(thinking: PromptFormat) -> None:
    assert len(thinking.examples(TALK, (2, 4))) == 1


def test_where_padding_is_the_end_token_the_end_is_learnt_all_the_same(chatml: PromptFormat) -> None:
    import torch

    from lora_chat.training.dataset import pad

    end = special(chatml, "<|im_end|>")
    [short] = chatml.examples(TALK[:3], (2,))
    [long] = chatml.examples(TALK, (2, 4))
    batch = pad([short, long], torch.device("cpu"))
    learnt = batch.ids[:, 1:][batch.supervised]
    assert (learnt == end).sum() == 3
    assert int(batch.supervised[0].sum()) == sum(short.supervised)
    assert int(batch.attention[0].sum()) == len(short.ids)


def test_a_template_that_ends_no_turn_gets_the_end_token_appended(chatml: PromptFormat) -> None:
    bare = with_template(chatml, "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
                         "{% if add_generation_prompt %}[assistant]{% endif %}")  # fmt: skip
    [example] = bare.examples(TALK[1:3], (1,))
    assert supervised_text(bare, example) == ["I am an AI language model.<|im_end|>"]
    # In chat no end token stands after an earlier answer, so the two answers share no sequence.
    for each, index in zip(bare.examples(TALK, (2, 4)), (2, 4), strict=True):
        ids = bare.encode_prompt(TALK[:index])
        assert list(each.ids[: len(ids)]) == ids


def test_only_answers_with_words_are_learnt(chatml: PromptFormat) -> None:
    for turns, learn in ((TALK, (1,)), ((TALK[1], Turn(Role.ASSISTANT, " \n")), (1,))):
        with pytest.raises(RefusedError, match="Message 2 cannot be learnt"):
            chatml.examples(turns, learn)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (CHATML.replace("{{ message['content'] }}", "{{ message['content'] | upper }}"), "loss mask is wrong"),
        (CHATML.replace("assistant\n{% endif %}", "assistant\n(think){% endif %}"), "rewrites the prompt"),
    ],
)
def test_a_template_whose_mask_cannot_be_proved_is_refused(chatml: PromptFormat, template: str, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason) as caught:
        with_template(chatml, template).examples(TALK, (2,))
    assert "\n" not in str(caught.value)


# Broken and hostile templates


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% for m in messages %}", "cannot be read"),
        ("{{ messages | nosuchfilter }}", "cannot be read"),
        ("{% include 'other' %}", "cannot write"),
        ("{{ raise_exception('roles must alternate\nplease') }}", "refuses the conversation: roles must alternate"),
        ("{{ messages.__class__.__mro__ }}", "unsafe"),
        ("{{ messages | attr('__class__') | attr('mro') }}", "cannot write"),
        ("{{ cycler.__init__.__globals__.os.popen('id').read() }}", "unsafe"),
        ("{% set x = messages.append(1) %}", "unsafe"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ range(10 ** 9) | list }}", "Range too big"),
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "does not end"),
        ("{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}", "RecursionError"),
        ("{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}", "does not end"),
        ("{% for m in messages recursive %}{% if loop.depth < 50 %}{{ loop(messages) }}{% endif %}{% endfor %}",
         "does not end"),
        ("{{ 'a' * 10 ** 12 }}", "without end"),
        ("{{ 9 ** 9 ** 9 }}", "without end"),
        ("{{ messages * 10 ** 9 }}", "without end"),
        ("{{ lipsum(n=100000) }}", "cannot write"),
    ],
)  # fmt: skip
def test_a_broken_or_hostile_template_is_one_sentence(chatml: PromptFormat, template: str, reason: str) -> None:
    began = time.monotonic()
    with pytest.raises(RefusedError, match=reason) as caught:
        with_template(chatml, template).encode_prompt(TALK)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert time.monotonic() - began < 10


def test_what_honest_templates_use_is_there(chatml: PromptFormat) -> None:
    template = (
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = loop.index %}"
        "{% if loop.last %}{{ ns.n }} of {{ loop.length }} {{ m | tojson }}{% break %}{% endif %}{% endfor %}"
        "{% generation %} {{ strftime_now('%Y') | length }}{% endgeneration %}{{ 3 * 2 }}{{ '-' * 3 }}"
        "{{ (messages | selectattr('role', 'equalto', 'user') | list) | length }}"
    )
    text = chatml.tokenizer.decode(with_template(chatml, template).encode_prompt(TALK[1:2]), skip_special_tokens=False)
    assert text == '1 of 1 {"role": "user", "content": "Who are you?"} 46---1'


def test_a_long_conversation_is_no_endless_template(chatml: PromptFormat) -> None:
    assert chatml.encode_prompt(TALK * 2000)


# Reading it from a folder


@pytest.fixture
def folder(tiny_llama: InstalledBase, tmp_path: Path) -> Path:
    """A copy of the tiny Llama's folder without a template."""
    copied = Path(shutil.copytree(tiny_llama.folder, tmp_path / "copy"))
    (copied / "chat_template.jinja").unlink()
    return copied


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("chat_template.jinja", None),
        ("chat_template.json", "own"),
        ("tokenizer_config.json", "own"),
        ("tokenizer_config.json", [{"name": "tool_use", "template": "other"}, {"name": "default", "template": "own"}]),
    ],
)
def test_a_template_is_found_wherever_transformers_has_put_it(folder: Path, file: str, found: object) -> None:
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    text = "own" if found is None else json.dumps(settings | {"chat_template": found})
    (folder / file).write_text(text)
    assert read_chat_template(folder) == "own"
    assert load_prompt_format(folder).template == "own"
    assert load_prompt_format(folder).stop == ()


@pytest.mark.parametrize("found", [None, "", [], [{"name": "tool_use", "template": "x"}], ["x"], 7])
def test_a_folder_without_a_usable_template_has_none(folder: Path, found: object) -> None:
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": found}))
    assert read_chat_template(folder) is None
    assert load_prompt_format(folder).template == FALLBACK_TEMPLATE


def test_the_signature_signs_the_template_that_is_used(folder: Path, tiny_llama: InstalledBase) -> None:
    from lora_chat.models.convert import describe

    described = describe(folder)
    none = sign(folder, described, "x", ()).chat_template
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": CHATML}))
    assert sign(folder, described, "x", ()).chat_template == tiny_llama.signature.chat_template != none


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("chat_template.jinja", b"\xff\xfe"),
        ("chat_template.json", b"{"),
        ("tokenizer_config.json", b"[" * 100_000),
        ("tokenizer.json", b"{}"),
        ("config.json", b"\xff"),
    ],
)
def test_a_damaged_file_is_named(folder: Path, file: str, data: bytes) -> None:
    (folder / file).write_bytes(data)
    with pytest.raises(RefusedError, match=file.replace(".", r"\.")) as caught:
        load_prompt_format(folder)
    assert "\n" not in str(caught.value)


def test_a_base_whose_replies_would_never_end_is_refused(folder: Path) -> None:
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        if (folder / name).exists():
            settings = json.loads((folder / name).read_text())
            (folder / name).write_text(json.dumps(settings | {"eos_token_id": None, "eos_token": None}))
    with pytest.raises(RefusedError, match="eos_token_id"):
        load_prompt_format(folder)


def test_every_end_that_the_folder_names_ends_a_reply(folder: Path) -> None:
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"eos_token_id": [5, 6]}))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 7}))
    prompt = load_prompt_format(folder)
    assert prompt.end_ids == {5, 6, 7, special(prompt, "<|im_end|>")}
