"""``lora-chat keys``. Owns how the window's keys are listed at a shell; which there are, the window's bindings say."""

from __future__ import annotations

import os
from typing import Annotated

import typer


def keys(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """List every key of the window: its id for [keys] in config.toml, the key, and what it does.

    Raises:
        RefusedError: some of [keys] cannot be used; each reason is said first.
    """
    from lora_chat.cli.console import answer_json, answer_table, note
    from lora_chat.config import load_config
    from lora_chat.errors import RefusedError
    from lora_chat.paths import find_paths
    from lora_chat.tui.key_list import rows
    from lora_chat.tui.remap import read_keymap

    config = find_paths(os.environ).config
    load_config(config)
    keymap = read_keymap(config)
    found = list(rows(keymap))
    if as_json:
        told = [
            {
                "id": row.id,
                "keys": list(row.keys),
                "default": list(row.default),
                "remapped": row.remapped,
                "does": row.does,
                "where": row.where,
                "typed": row.typed,
            }
            for row in found
        ]
        answer_json({"keys": told, "problems": list(keymap.problems)})
    else:
        answer_table(
            ["ID", "KEY", "DEFAULT", "DOES", "WHERE", "OR TYPE"],
            [
                [
                    row.id,
                    " ".join(row.keys),
                    " ".join(row.default) if row.remapped else "",
                    row.does,
                    row.where,
                    row.typed,
                ]
                for row in found
            ],
        )
    for problem in keymap.problems:
        note(problem)
    if keymap.problems:
        raise RefusedError(
            f"{len(keymap.problems)} of the entries below [keys] in {config} cannot be used: correct them."
        )
