"""The process of a plugin's engine. Owns opening it; started by ``plugins/engines`` and by nobody else.

It speaks as every engine's process does. What the plugin prints goes to the log, and what it is told of its settings
came through the pipe: neither a key nor an address is among the arguments, which others can see.
"""

from __future__ import annotations

from pathlib import Path

from lora_chat.engine import wire
from lora_chat.engine.protocol import Engine
from lora_chat.engine.worker import main as serve
from lora_chat.errors import EngineError, LoraChatError, RefusedError
from lora_chat.plugins import limits
from lora_chat.plugins.content import same_content
from lora_chat.plugins.loading import load
from lora_chat.plugins.registrars import EngineSettings
from lora_chat.plugins.worker import told
from lora_chat.text import clean_line


def main() -> None:
    """Serve calls until the pipe closes, and let the engine close then."""
    serve(_open, limits.CLOSE_S)


def _open(setup: wire.Setup) -> Engine:
    """The engine that the setup names, of the plugin as it was agreed to: looked at before its code is read."""
    asked = setup.plugin
    name, root = asked["name"], Path(asked["root"])
    if not same_content(root, asked["sha256"]):
        raise RefusedError(f"The files of the plugin {name} are others than those you enabled: look at it, then "
                           f"`lora-chat plugin enable {name}` has it again.")  # fmt: skip
    try:
        return (
            load(name, root, asked["module"])
            .engines.added[asked["engine"]]
            .open(EngineSettings(asked["table"], setup.base, asked["engine"]))
        )
    except LoraChatError:
        raise
    except BaseException as error:  # SystemExit is no way out either
        why = clean_line(told(error), 240)
        raise EngineError(f"The plugin {name} cannot open its engine ({why}): correct it, or disable it.") from error


if __name__ == "__main__":
    main()
