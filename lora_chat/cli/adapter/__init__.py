"""``lora-chat adapter``: what can be worn. Owns the table of its commands; the files beside this one do them."""

from __future__ import annotations

import typer

from lora_chat.cli.adapter import checking, history, installing, looking, mixing, rebasing, removing, sharing

app = typer.Typer(help="Adapters: list, inspect, check, install, remove and share them.", no_args_is_help=True)

app.command("list")(looking.list_adapters)
app.command("info")(looking.info)
app.command("verify")(checking.verify)
app.command("install")(installing.install)
app.command("remove")(removing.remove)
app.command("restore")(removing.restore)
app.command("history")(history.history)
app.command("rollback")(history.rollback)
app.command("rebase")(rebasing.rebase)
app.command("mix")(mixing.mix)
app.command("pack")(sharing.pack)
app.command("export")(sharing.export)
