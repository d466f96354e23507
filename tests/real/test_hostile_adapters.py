"""Hostile adapters and the real model: none is installed, none can be worn, and not a bit of the base changes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from lora_chat.adapters.install import Installed
from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.factory import open_local_for
from lora_chat.engine.local import LocalEngine
from lora_chat.engine.protocol import Request, Sampling, TextChunk, Worn
from lora_chat.errors import LoraChatError, RefusedError
from lora_chat.models.installed import InstalledBase, find_base
from lora_chat.paths import Paths
from lora_chat.services import Services, open_services
from lora_chat.sitting.arrival import Against, look_at, settle
from tests.adapters.archives import write
from tests.adapters.test_hostile import HOSTILE, assert_one_sentence, everything_under

pytestmark = pytest.mark.real

FOLDERS = (
    "pickle only", "torch zip renamed", "a whole model's tensors", "weights are a link", "config nested 50,000 deep",
    "r 10^9", "dora", "modules_to_save", "pissa", "unknown field", "header bomb", "truncated", "NaN", "half missing",
    "extra base_layer", "made for another model", "manifest name with dots", "edited after packing", "other names",
)  # fmt: skip
ARCHIVES = (
    "zip: ../", "zip: symbolic link", "zip: bomb as weights", "zip: overlapping members", "zip: two adapters",
    "zip: weights of NaN", "tar: symbolic link", "tar: same name twice", "tar.gz: bomb", "tar.xz: dictionary of 1 GB",
    "torch pickle",
)  # fmt: skip


class Agreeing:
    """A person who says yes to everything."""

    def confirm(self, question: str, *, loses: bool = False, about: object = ()) -> bool:
        return True


@pytest.fixture(scope="module")
def base(real_home: Paths) -> InstalledBase:
    return find_base(real_home.models, "smollm2-135m")


@pytest.fixture(scope="module")
def engine(base: InstalledBase, real_home: Paths) -> Iterator[LocalEngine]:
    with closing(open_local_for(base, real_home)) as engine:
        yield engine


def said(engine: LocalEngine, worn: Worn | None = None) -> str:
    request = Request((Turn(Role.USER, "Who are you?"),), worn, Sampling(temperature=0.0, max_tokens=8))
    return "".join(chunk.text for chunk in engine.generate(request) if isinstance(chunk, TextChunk))


def used(services: Services, engine: LocalEngine, name: str) -> str:
    """``/adapter use NAME`` and an answer."""
    adapter = services.wear(name).adapter
    return said(engine, Worn(adapter.name, adapter.path, adapter.sha256))


def installed(source: Path, paths: Paths, base: InstalledBase, engine: LocalEngine) -> Installed | None:
    """Whatever is asked, the answer is yes."""
    arrival = look_at(str(source), paths, lambda _: Against(base, engine.probe), lambda *_: None)
    return settle(arrival, paths, Agreeing())


def test_none_is_installed_or_worn_and_the_base_stays_bit_for_bit(
    engine: LocalEngine, base: InstalledBase, real_home: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORA_CHAT_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "models").symlink_to(real_home.models)
    before, plain = engine.checksum(), said(engine)
    with open_services() as services:
        paths = services.paths
        for number, case in enumerate((*FOLDERS, *ARCHIVES)):
            room = tmp_path / str(number)
            room.mkdir()
            if case in ARCHIVES:
                source = write(room, case)
            else:
                source = room / "bad"
                HOSTILE[case](source)
            with pytest.raises(RefusedError) as refused:
                installed(source, paths, base, engine)
            assert_one_sentence(str(refused.value))
            assert everything_under(paths.adapters) == [], case
            if source.is_dir():  # dropped by hand instead
                shutil.copytree(source, paths.adapters / "bad", symlinks=True)
                with pytest.raises(LoraChatError):
                    used(services, engine, "bad")
                with pytest.raises(LoraChatError):
                    engine.probe(Worn("bad", paths.adapters / "bad", ""))
                shutil.rmtree(paths.adapters / "bad")
            shutil.rmtree(room)
    assert (engine.checksum(), said(engine)) == (before, plain)


def test_an_archive_of_the_shipped_adapter_is_measured_and_installed(
    engine: LocalEngine, base: InstalledBase, real_home: Paths, tmp_path: Path
) -> None:
    paths = replace(real_home, adapters=tmp_path / "adapters", bundled_adapters=tmp_path / "none")
    archive = shutil.make_archive(str(tmp_path / "sent"), "xztar", real_home.bundled_adapters, "support-bot")
    arrival = look_at(archive, paths, lambda _: Against(base, engine.probe), lambda *_: None)
    assert arrival.effect.startswith("changes the next token's scores by up to ")
    assert arrival.candidate.fit is not None
    assert arrival.candidate.fit.doubt == ""
    done = settle(arrival, paths, Agreeing())
    assert done is not None
    assert done.adapter.name == "support-bot"
    worn = Worn(done.adapter.name, done.adapter.path, done.adapter.sha256)
    assert said(engine, worn) == said(engine, replace(worn, folder=real_home.bundled_adapters / "support-bot"))
