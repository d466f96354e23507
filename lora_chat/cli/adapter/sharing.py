"""``adapter pack`` and ``adapter export``. Owns what is shown and asked before one leaves; never writes a file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lora_chat.cli import names
from lora_chat.cli.adapter.options import Name, Yes
from lora_chat.cli.adapter.places import places
from lora_chat.cli.adapter.shell import Shell

if TYPE_CHECKING:
    from lora_chat.adapters.install import Candidate
    from lora_chat.adapters.manifest import Manifest
    from lora_chat.adapters.registry import Adapter
    from lora_chat.adapters.verify import VerifiedAdapter
    from lora_chat.models.installed import InstalledBase


class Numbers(StrEnum):
    """What weights can be written as; the names are those of ``adapters/numbers.py``."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"


Dtype = Annotated[Numbers | None, typer.Option("--dtype", help="Write the weights so; else as they are.")]


class Format(StrEnum):
    """What an adapter can be exported as."""

    PEFT = "peft"
    MERGED = "merged"
    GGUF = "gguf"


def pack(
    name: Name,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The .zip to write; else NAME.zip in this folder.")
    ] = None,
    dtype: Dtype = None,
    yes: Yes = False,
) -> None:
    """Write an adapter as one archive to hand on, after showing what leaves."""
    from lora_chat.adapters.numbers import DTYPES
    from lora_chat.adapters.registry import discover
    from lora_chat.cli.console import answer, note
    from lora_chat.models.sources.staging import ends_cleanly
    from lora_chat.sitting.departure import pack as leave

    adapter = discover(places()[0]).get(name)
    with ends_cleanly():
        target = leave(adapter, output, Shell(yes), DTYPES[dtype] if dtype else "")
    if target is None:
        note("Nothing was written.")
    else:
        answer(f"{adapter.name} is packed in {target}")


def export(
    name: Name,
    form: Annotated[
        Format, typer.Option("--format", help="A folder for PEFT and vLLM, a whole model, or llama.cpp's LoRA.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to; nothing may be there yet.")],
    dtype: Dtype = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="The base model it is worn on.", autocompletion=names.bases)
    ] = "",
    yes: Yes = False,
) -> None:
    """Write an adapter for another program: PEFT, vLLM, transformers or llama.cpp."""
    from lora_chat.adapters.numbers import DTYPES
    from lora_chat.adapters.outgoing.place import check_free, spelled_out
    from lora_chat.adapters.registry import discover
    from lora_chat.cli.console import answer, confirm, note
    from lora_chat.models.sources.staging import ends_cleanly
    from lora_chat.sitting.departure import private_question

    target = spelled_out(output)
    check_free(target)
    leaving = _fitted(discover(places()[0]).get(name), model)
    for warning in leaving.adapter.verdict.warnings:
        note(warning)
    if leaving.candidate.manifest.private and not confirm(private_question(leaving.name), yes=yes, loses=True):
        note("Nothing was written.")
        return
    with ends_cleanly():
        _write(form, leaving, target, DTYPES[dtype] if dtype else "")
    answer(f"{leaving.name} is exported for {_READERS[form]} to {target}")


@dataclass(frozen=True)
class _Leaving:
    """An adapter that fits its base, on its way out."""

    candidate: Candidate
    adapter: VerifiedAdapter
    manifest: Manifest
    """What is told of it."""
    base: InstalledBase

    @property
    def name(self) -> str:
        return self.manifest.name


_READERS = {Format.PEFT: "PEFT and vLLM", Format.MERGED: "transformers", Format.GGUF: "llama.cpp"}


def _write(form: Format, leaving: _Leaving, target: Path, dtype: str) -> None:
    import json

    from lora_chat.adapters.outgoing.export import export_peft
    from lora_chat.cli.console import progress_bar
    from lora_chat.models.exports.gguf_lora import export_gguf
    from lora_chat.models.exports.merged import export_merged

    base, manifest = leaving.base, leaving.manifest
    if form is Format.PEFT:
        export_peft(leaving.candidate, manifest, base.signature.modules, target, dtype)
    elif form is Format.GGUF:
        config = json.loads((base.folder / "config.json").read_text(encoding="utf-8"))
        export_gguf(leaving.adapter, manifest, config, target, dtype)
    else:
        with progress_bar() as tell:
            export_merged(leaving.adapter, manifest, base, target, dtype, tell)


def _fitted(adapter: Adapter, model: str) -> _Leaving:
    """The adapter checked against the base that is meant.

    Unlike for a look at it, no other base of the same shape will do where the declared one is not here.
    """
    import dataclasses

    from lora_chat.adapters.install import inspect_folder
    from lora_chat.adapters.outgoing.public import public_manifest
    from lora_chat.adapters.verify import verified
    from lora_chat.models.installed import find_base

    paths, default = places()
    candidate = inspect_folder(adapter.path, adapter.name)
    base = find_base(paths.models, model or adapter.base_model or default, declared=not model)
    fits = verified(candidate.files, base.signature, candidate.manifest)
    told = public_manifest(candidate.manifest)
    named = dataclasses.replace(told.base, model=told.base.model or base.signature.lineage)
    return _Leaving(candidate, fits, dataclasses.replace(told, base=named), base)
