"""``adapter remove`` and ``adapter restore``. Owns the question asked; the moving is ``adapters/removal.py``'s."""

from __future__ import annotations

from typing import Annotated

import typer

from lora_chat.cli.adapter.options import Name, Yes
from lora_chat.cli.adapter.places import places


def remove(name: Name, yes: Yes = False) -> None:
    """Remove an adapter that you installed; `adapter restore` brings it back for a day."""
    from lora_chat.adapters import removal
    from lora_chat.cli.console import answer, confirm, note
    from lora_chat.text import clean_line

    paths, _ = places()
    removal.check_removable(name, paths)
    shown = clean_line(name, 80)
    if not confirm(f"Remove the adapter {shown} from {paths.adapters}?", yes=yes, loses=True):
        note("Nothing was removed.")
        return
    removal.remove(name, paths)
    answer(f"{shown} is removed.")
    note(f"`lora-chat adapter restore {shown}` brings it back, for {removal.KEPT_HOURS} hours.")


def restore(
    name: Annotated[str, typer.Argument(help="A removed adapter's name; by default the last one's.")] = "",
) -> None:
    """Bring back an adapter that was removed within a day."""
    from lora_chat.adapters import removal
    from lora_chat.cli.console import answer
    from lora_chat.text import clean_line

    folder = removal.restore(name, places()[0])
    answer(clean_line(f"{folder.name} is back in {folder.parent}"))
