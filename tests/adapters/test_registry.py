"""The catalog: own before shipped, hidden names skipped, problems as values, quick with many."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from lora_chat.adapters.install import install_folder
from lora_chat.adapters.registry import Seen, discover
from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.paths import Paths
from tests.adapters.conftest import config, safetensors, tensors, write_adapter


def test_nothing_there_is_an_empty_catalog(paths: Paths) -> None:
    assert discover(paths).adapters == ()
    assert not paths.adapters.exists()


def test_a_folder_dropped_by_hand_appears_at_the_next_look(paths: Paths) -> None:
    seen: Seen = {}
    assert discover(paths, seen).adapters == ()
    write_adapter(paths.adapters / "dropped")
    (adapter,) = discover(paths, seen).adapters
    assert (adapter.name, adapter.origin, adapter.base_model) == ("dropped", "user", "tiny/Llama-Random")
    assert (adapter.rank, adapter.targets) == (4, ("q_proj", "v_proj"))
    assert adapter.parameters == sum(shape[0] * shape[1] for _, shape, _ in tensors().values())
    assert adapter.bytes == len(safetensors(tensors()))
    assert adapter.sha256 == hashlib.sha256(safetensors(tensors())).hexdigest()


def test_an_edit_is_noticed_through_the_memory(paths: Paths) -> None:
    seen: Seen = {}
    folder = write_adapter(paths.adapters / "dropped")
    assert discover(paths, seen).adapters[0].rank == 4
    write_adapter(folder, config(r=2), tensors(rank=2))
    assert discover(paths, seen).adapters[0].rank == 2


def test_the_persons_own_stands_for_a_shipped_one(paths: Paths) -> None:
    write_adapter(paths.bundled_adapters / "support-bot", toml='version = "1.0.0"\n')
    write_adapter(paths.bundled_adapters / "other")
    write_adapter(paths.adapters / "support-bot", toml='version = "2.0.0"\n')
    catalog = discover(paths)
    assert [(each.name, each.origin) for each in catalog.adapters] == [("other", "bundled"), ("support-bot", "user")]
    assert catalog.get("support-bot").version == "2.0.0"


def test_hidden_folders_and_plain_files_are_no_adapters(paths: Paths) -> None:
    write_adapter(paths.adapters / ".incoming-abc")
    (paths.adapters / "README.md").write_text("hello")
    catalog = discover(paths)
    assert (catalog.adapters, catalog.problems) == ((), ())


def test_a_broken_folder_is_a_problem_with_its_reason(paths: Paths) -> None:
    write_adapter(paths.adapters / "fine")
    (write_adapter(paths.adapters / "broken") / "adapter_config.json").write_bytes(b"{")
    write_adapter(paths.adapters / "Bad Name")
    catalog = discover(paths)
    assert [each.name for each in catalog.adapters] == ["fine"]
    assert [problem.path.name for problem in catalog.problems] == ["Bad Name", "broken"]
    with pytest.raises(RefusedError, match="JSON is not valid"):
        catalog.get("broken")


def test_an_unknown_name_names_the_nearest(paths: Paths) -> None:
    write_adapter(paths.adapters / "support-bot")
    with pytest.raises(NotFoundError, match=r"did you mean support-bot\?.*adapter list"):
        discover(paths).get("suport-bot")
    with pytest.raises(NotFoundError, match="adapter list"):
        discover(paths).get("\x1b[31mzzz")


def test_settings_come_from_the_manifest(paths: Paths) -> None:
    write_adapter(
        paths.adapters / "bot",
        toml='description = "Sells shoes."\n[chat]\nsystem_prompt = "Hi"\ntemperature = 0.5\nstarters = ["Where?"]\n',
    )
    (adapter,) = discover(paths).adapters
    assert (adapter.description, adapter.system_prompt) == ("Sells shoes.", "Hi")
    assert (adapter.temperature, adapter.starters) == (0.5, ("Where?",))


def test_two_hundred_are_listed_quickly(tmp_path: Path, paths: Paths) -> None:
    write_adapter(tmp_path / "source")
    for number in range(200):
        install_folder(tmp_path / "source", paths, name=f"adapter-{number}")
    seen: Seen = {}
    discover(paths, seen)
    began = time.monotonic()
    assert len(discover(paths, seen).adapters) == 200
    assert time.monotonic() - began < 0.5


def test_a_folder_that_cannot_be_a_name_says_where_it_is_and_what_to_do(paths: Paths) -> None:
    folder = write_adapter(paths.adapters / "My Bot")
    (problem,) = discover(paths).problems
    assert problem.reason.startswith(f'Cannot use {folder}: "My Bot" cannot be the name of an adapter')
    assert problem.reason.endswith("; rename the folder.")
