"""The card that goes with an adapter: the hub reads its head, a person its body, and a card of one's own is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from huggingface_hub import ModelCard

from lora_chat.adapters.manifest import BaseClaim, ChatSettings, Manifest
from lora_chat.adapters.outgoing.card import card, merged_card
from lora_chat.adapters.weights import LoraLayout, read_adapter
from tests.adapters.conftest import write_adapter

MANIFEST = Manifest(
    name="support-bot",
    description="Answers briefly | and *politely*.",
    license="Apache-2.0",
    base=BaseClaim("tiny/Llama-Random"),
    chat=ChatSettings("Be kind.\nBe brief.", 0.0, ('Say "hi" for $5`id`', "")),
    training={"steps": 1234, "recipe": {"learning_rate": 0.002}},
    evaluation={"heldout_loss_after": 0.026739817},
)


def layout(tmp_path: Path) -> LoraLayout:
    return read_adapter(write_adapter(tmp_path / "bot")).layout


def head(text: str) -> dict[str, object]:
    found: dict[str, object] = yaml.safe_load(text.split("---\n")[1])
    return found


def test_the_hub_reads_base_library_licence_and_tags(tmp_path: Path) -> None:
    data: Any = ModelCard(card(MANIFEST, layout(tmp_path), "support-bot.zip")).data
    assert (data.base_model, data.library_name, data.license) == ("tiny/Llama-Random", "peft", "apache-2.0")
    assert data.tags == ["lora", "lora-chat"]
    assert data.pipeline_tag == "text-generation"


def test_a_person_reads_what_it_is_how_to_wear_it_and_what_was_measured(tmp_path: Path) -> None:
    text = card(MANIFEST, layout(tmp_path), "my bot.zip")
    for part in (
        "# support-bot", r"Answers briefly \| and \*politely\*.", "| rank | 4 on q\\_proj, v\\_proj (4 modules) |",
        "lora-chat adapter install 'my bot.zip'", 'ask -a support-bot "Say hi for 5id"', "from peft import PeftModel",
        'from_pretrained("tiny/Llama-Random")', "temperature of 0", "> Be kind.\n> Be brief.", "| steps | 1,234 |",
        "| recipe, learning rate | 0.002 |", "| heldout loss after | 0.02674 |",
    ):  # fmt: skip
        assert part in text, part


def test_what_is_not_known_is_not_said(tmp_path: Path) -> None:
    text = card(Manifest(name="bare"), layout(tmp_path), "bare.zip")
    assert set(head(text)) == {"library_name", "pipeline_tag", "tags"}
    assert "measured" not in text
    assert "temperature" not in text


def test_a_licence_the_hub_does_not_list_keeps_its_name(tmp_path: Path) -> None:
    found = head(card(Manifest(name="x", license="My: own\nlicence"), layout(tmp_path), "x.zip"))
    assert (found["license"], found["license_name"]) == ("other", "My: own\nlicence")


def test_foreign_words_never_become_something_else_in_the_head(tmp_path: Path) -> None:
    for name in ("null", "1.5", "a: b", "- x", "org/true", "'q'", "#c", "0x10/a"):
        found = head(card(Manifest(name="x", base=BaseClaim(name)), layout(tmp_path), "x.zip"))
        assert found["base_model"] == name


def test_a_card_of_its_own_is_kept(tmp_path: Path) -> None:
    own = "# Mine\n\nHand-written.\n"
    text = card(MANIFEST, layout(tmp_path), "support-bot.zip", own)
    assert text.endswith(f"---\n\n{own}")
    assert head(text)["base_model"] == "tiny/Llama-Random"
    with_head = f"---\nlicense: mit\n---\n{own}"
    assert card(MANIFEST, layout(tmp_path), "support-bot.zip", with_head) == with_head


def test_a_merged_model_is_said_to_be_one() -> None:
    found = head(merged_card(MANIFEST))
    assert (found["library_name"], found["base_model_relation"]) == ("transformers", "merge")
