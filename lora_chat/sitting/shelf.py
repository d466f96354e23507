"""What the commands for the shelf of adapters do: removing, bringing back, verifying. Owns their words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_chat.adapters import removal
from lora_chat.adapters.verify import check_fit, check_hashes, read_manifest_of
from lora_chat.adapters.weights import read_adapter
from lora_chat.engine.protocol import Worn
from lora_chat.errors import RefusedError, UsageError
from lora_chat.text import clean_line

if TYPE_CHECKING:
    from lora_chat.adapters.manifest import Manifest
    from lora_chat.adapters.verify import Verdict
    from lora_chat.adapters.weights import AdapterFiles
    from lora_chat.engine.protocol import Probe
    from lora_chat.sitting.sitting import Sitting


def adapter_remove(sitting: Sitting, name: str) -> None:
    """Take an adapter away; the chat that wears it goes on on the base."""
    removal.remove(name, sitting.services.paths)
    shown = clean_line(name, 60)
    base = " The base answers." if sitting.take_off(name) else ""
    back = f"/adapter restore {shown} brings it back, for {removal.KEPT_HOURS} hours."
    sitting.face.note(f"{shown} is removed: {back}{base}")
    sitting.face.changed()


def adapter_restore(sitting: Sitting, name: str) -> None:
    """Bring back what was removed."""
    folder = removal.restore(name, sitting.services.paths)
    shown = clean_line(folder.name, 60)
    sitting.face.note(f"{shown} is back: /adapter use {shown}")
    sitting.face.changed()


def adapter_verify(sitting: Sitting, name: str) -> None:
    """Read every byte of an adapter, by default the one worn, hold it against the base, measure what it changes."""
    if not name and sitting.wearing is None:
        raise UsageError("No adapter is worn: write /adapter verify NAME, or, wearing one, /adapter verify.")
    adapter = sitting.services.adapters().get(name) if name or sitting.wearing is None else sitting.wearing.adapter
    files, manifest = read_adapter(adapter.path), read_manifest_of(adapter.path)
    check_hashes(files, manifest)
    verdict = check_fit(files, sitting.base.signature, manifest)
    if not verdict.ok:
        raise RefusedError(verdict.reason)
    probe = sitting.engine.probe(Worn(adapter.name, adapter.path, files.sha256))
    if not probe.finite:
        raise RefusedError(f'The adapter "{adapter.name}" is refused: worn, it makes logits that are not finite.')
    sitting.face.details(f"{adapter.name} is sound", _report(sitting.base.name, files, manifest, verdict, probe))
    sitting.face.changed()


def _report(
    base: str, files: AdapterFiles, manifest: Manifest | None, verdict: Verdict, probe: Probe
) -> list[tuple[str, str]]:
    changes = f"changes the next token's scores by up to {probe.effect:.3g}" if probe.effect else "changes nothing"
    installed = "as they were installed" if manifest and manifest.weights.sha256 else "nothing to hold them against"
    return [
        ("fit", f"fits {base}"),
        ("modules", f"{probe.modules_matched:,} of {probe.modules_total:,}"),
        ("effect", f"{changes}, on the probe"),
        ("bytes", f"{len(files.weights):,}, {installed}"),
        ("sha256", files.sha256),
        *[("mind", clean_line(warning, 300)) for warning in verdict.warnings],
    ]
