"""Arguments that several adapter commands take. Owns their help; never reads one."""

from __future__ import annotations

from typing import Annotated

import typer

from lora_chat.cli import names

Name = Annotated[str, typer.Argument(help="An adapter's name.", autocompletion=names.adapters)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Model = Annotated[str, typer.Option("--model", "-m", help="Check against this base model.", autocompletion=names.bases)]
