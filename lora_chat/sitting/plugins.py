"""Agreeing to plugins, in the chat and from the shell. Owns what is asked and which names are taken; runs none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_chat.chat.transcript import Format
from lora_chat.config import HUBS, LOCAL
from lora_chat.plugins.manager import WARNING, Listed, Plugins, Taken, facts
from lora_chat.sitting.plugin_commands import own_names

if TYPE_CHECKING:
    from lora_chat.sitting.face import Asker
    from lora_chat.sitting.sitting import Sitting


def enable(plugins: Plugins, name: str, asker: Asker) -> Listed | None:
    """Show what is known of one, and have the person agree to it. Raises as ``Plugins.enable``."""

    def agrees(listed: Listed) -> bool:
        return asker.confirm(f"{WARNING} Enable {name}?", loses=True, about=facts(listed))

    return plugins.enable(name, agrees, taken())


def taken() -> Taken:
    """What lora-chat itself has, by hook."""
    return {
        "exporters": {each.value for each in Format},
        "engines": {LOCAL},
        "commands": own_names(),
        "model_sources": set(HUBS),
    }


def enabled(listed: Listed) -> str:
    """What is said then."""
    return f"{listed.name} is enabled: {listed.offers.told or 'it registers nothing'}."


def plugin_list(sitting: Sitting, rest: str) -> None:
    """Show what there is, and what runs."""
    shelf = sitting.services.plugins.shelf()
    rows = [(each.name, row(each)) for each in shelf.plugins]
    rows += [("unusable", problem.reason) for problem in shelf.problems]
    rows += [("gone", lost.reason) for lost in shelf.gone]
    sitting.face.details("Plugins", rows or [("none", f"put one into {sitting.services.paths.plugins}")])


def row(listed: Listed) -> str:
    """How one stands, in a line."""
    state = listed.state + (f", {listed.why}" if listed.why else "")
    return f"{state} · {listed.plugin.manifest.description or listed.offers.told or 'says nothing about itself'}"


def plugin_info(sitting: Sitting, name: str) -> None:
    """What is known of one without running it."""
    listed = sitting.services.plugins.get(name)
    sitting.face.details(f"{listed.name} {listed.plugin.manifest.version}".strip(), facts(listed))


def plugin_enable(sitting: Sitting, name: str) -> None:
    """Run it from now on, once the person agrees."""
    listed = enable(sitting.services.plugins, name, sitting.face)
    sitting.face.note(enabled(listed) if listed is not None else f"{name} stays off.")
    sitting.face.changed()
    sitting.face.plugins_changed()


def plugin_disable(sitting: Sitting, name: str) -> None:
    """Run it no more."""
    sitting.services.plugins.disable(name)
    sitting.face.note(f"{name} is off.")
    sitting.face.changed()
    sitting.face.plugins_changed()
