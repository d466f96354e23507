"""``adapter rebase``: the same lessons on another base. Owns that command; the training is ``train``'s."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from lora_chat.cli.adapter.options import Json, Name


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
        new = called or _name_on(adapter.name, base)
        check_free(new, services.paths)
        on = ensure_base(services.paths, base, yes=yes)
        course = Course.of(services, on, new, Selection(lessons, {}), effort)
        course = replace(course, checks_of=(adapter.name, adapter.version))
        carry_out(services, course, f"rebase of {adapter.name}", dry_run=dry_run, json=json, yes=yes)


def _name_on(name: str, base: str) -> str:
    """``shop-smollm2-360m-instruct``: what a base is called after its last slash, in the letters of names.

    Raises:
        UsageError: there is none.
    """
    from lora_chat.adapters.manifest import NAME_PATTERN
    from lora_chat.errors import UsageError
    from lora_chat.text import clean_line

    short = "-".join(re.findall(r"[a-z0-9._]+", Path(base).name.lower())).strip("-._")
    if not NAME_PATTERN.fullmatch(found := f"{name}-{short}"):
        raise UsageError(f'No name can be made of {name} and "{clean_line(base, 80)}": say one, --name NAME.')
    return found
