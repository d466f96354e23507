"""``adapter rebase``: the same lessons on another base. Owns that command; the training is ``train``'s."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lora_chat.cli.adapter.options import Json, Name

if TYPE_CHECKING:
    from lora_chat.adapters.registry import Adapter
    from lora_chat.services import Services


def rebase(
    name: Name,
    base: Annotated[str, typer.Option(help="The base model that is to learn it.")],
    called: Annotated[str | None, typer.Option("--name", help="The new adapter's name; else NAME-BASE.")] = None,
    effort: Annotated[Literal["light", "normal", "deep"], typer.Option(help="How long it may take.")] = "normal",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be learnt.")] = False,
    json: Json = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Train another base from all that an adapter was taught; the adapter itself stays as it is."""
    from lora_chat.cli.console import told_as_json
    from lora_chat.cli.model import ensure_base
    from lora_chat.cli.train import carry_out
    from lora_chat.errors import RefusedError
    from lora_chat.services import open_services
    from lora_chat.sitting.plan import Course, kept_out
    from lora_chat.training.jobs import check_free
    from lora_chat.training.proof.line import Line
    from lora_chat.training.selection import Selection

    with told_as_json(json), open_services() as services:
        adapter = services.adapters().get(name)
        kept, never = Line.of(adapter.name, services.paths).lessons(adapter.version), kept_out(services)
        lessons = tuple(lesson for lesson in kept if lesson.source not in never)
        if not lessons:
            raise RefusedError(
                f"Nothing is kept of what {adapter.name} was taught: only what was trained here can be learnt anew by "
                f"another base; take its examples and `lora-chat train FILE --base {base}`."
            )
        new = called or f"{adapter.name}-{base}".lower()
        check_free(new, services.paths)
        on = ensure_base(services.paths, base, yes=yes)
        course = Course.of(services, on, new, Selection(lessons, {}), effort)
        done = carry_out(services, course, f"rebase of {adapter.name}", dry_run=dry_run, json=json, yes=yes)
        if done is not None:
            _take_over(services, adapter, done.adapter)


def _take_over(services: Services, old: Adapter, new: str) -> None:
    """What the person said of the checks holds for the new adapter too: other words, and what an answer must hold."""
    from lora_chat.training.proof.line import Line

    line = Line.of(new, services.paths)
    said = {check.id: check for check in Line.of(old.name, services.paths).checks(old.version)}
    line.keep(replace(said.get(check.id, check), version=check.version) for check in line.checks())
