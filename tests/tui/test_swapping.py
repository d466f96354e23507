"""Another base in the window: what the title, the shelf and the talk say of it."""

from __future__ import annotations

import pytest

from lora_chat.engine.echo import EchoEngine
from lora_chat.models.installed import InstalledBase
from lora_chat.paths import Paths
from lora_chat.tui.screens.adapters import AdaptersScreen
from lora_chat.tui.widgets.banner import Banner
from tests.conftest import place
from tests.tui.conftest import Tell, Window, idle


@pytest.fixture
def two(tiny: Paths, tiny_llama: InstalledBase, tiny_opt: InstalledBase) -> Paths:
    tiny.models.unlink()  # the one that all tests share
    place(tiny_llama, tiny)
    place(tiny_opt, tiny)
    return tiny


@pytest.mark.usefixtures("two", "worn", "says")
def test_the_window_goes_on_with_another_base(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("hello")
        await w.write("/adapter use shop")
        await w.hear("Wearing shop")
        await w.write("/model use tiny-opt")
        await w.hear("tiny-opt answers from the next answer on; tiny-llama is put away.")
        await w.see("tiny-opt")
        assert w.app.chat.base == "tiny-opt"
        assert "shop" in str(w.app.chat.query_one(Banner).render())
        await w.write("/adapter list")
        await w.until(lambda: isinstance(w.app.screen, AdaptersScreen))
        await w.see("does not fit")
        await w.press("escape")
        await w.answered("and now?")
        assert (w.app.chat.answer.base, w.app.chat.answer.adapter) == ("tiny-opt", None)  # type: ignore[union-attr]

    window(story)


@pytest.mark.usefixtures("two", "says")
def test_a_chat_of_another_base_says_who_answers(window: Tell) -> None:
    async def story(w: Window) -> None:
        await w.ready()
        await w.answered("hello")
        old = w.app.chat.answer.conversation  # type: ignore[union-attr]
        await w.write("/new")
        await w.write("/model use tiny-opt")
        await w.hear("tiny-opt answers")
        await w.write(f"/open {old}")
        await w.see("This was held with tiny-llama: tiny-opt answers, and /model use tiny-llama goes back.")
        await w.write("/model use tiny-llama")
        await w.not_see("This was held with")
        assert w.app.chat.base == "tiny-llama"

    window(story)


@pytest.mark.usefixtures("two")
def test_what_the_base_before_still_says_is_nobodys(window: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from lora_chat.engine.protocol import BaseInfo
    from lora_chat.errors import EngineError
    from lora_chat.services import Services

    class Slow(EchoEngine):
        """Loads until it is closed, and complains then."""

        def __init__(self, base: InstalledBase) -> None:
            super().__init__(base)
            self.base_name = base.name
            self.closed = threading.Event()

        def load(self) -> BaseInfo:
            if self.base_name == "tiny-llama":
                self.closed.wait(30)
                raise EngineError("The engine was closed.")
            return super().load()

        def close(self) -> None:
            self.closed.set()
            super().close()

    monkeypatch.setattr(Services, "engine_beside", lambda self, base: Slow(base))

    async def story(w: Window) -> None:
        await w.until(lambda: w.app.chat.base)
        await w.press("enter")
        await w.see("loading")
        await w.write("/model use tiny-opt")
        await w.hear("tiny-opt answers")
        await w.not_see("loading")
        await idle(w)
        assert "not running" not in w.text
        assert not any("was closed" in each for each in w.told)

    window(story)
