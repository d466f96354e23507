"""Whether an adapter fits a base. Owns the verdict and its reasons; never loads the base nor changes anything.

An adapter is worn exactly or refused with the reason: every tensor must have its module, with its very shape.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path

from lora_chat.adapters.manifest import MANIFEST_LIMIT, MANIFEST_NAME, Manifest, read_manifest
from lora_chat.adapters.peft_config import CONFIG_LIMIT, CONFIG_NAME, matching_key
from lora_chat.adapters.reading import read_bytes, shown
from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.weights import (
    WEIGHTS_LIMIT,
    WEIGHTS_NAME,
    AdapterFiles,
    AdapterHeader,
    LoraLayout,
    ModuleLora,
    read_adapter,
)
from lora_chat.errors import NotFoundError, RefusedError

_ELSEWHERE = "wear it on its own base model or install one made for this base"
_HEADS = frozenset({"lm_head", "embed_out"})
"""transformers' names of the output head, which a ``BaseSignature`` leaves out, as PEFT's ``all-linear`` does."""


@dataclass(frozen=True)
class Verdict:
    """What ``check_fit`` found."""

    ok: bool
    reason: str
    """Why not, as one sentence; empty when it fits."""
    warnings: tuple[str, ...]
    modules_matched: int
    modules_total: int
    """Linear modules of the base."""
    doubt: str = ""
    """Why a person should agree first, as one sentence: the shapes fit, but it was made for another base."""

    @property
    def asks(self) -> bool:
        """Whether a person should agree first."""
        return bool(self.doubt)

    @property
    def is_by_name(self) -> bool:
        """Whether names alone were compared, as the base is not on this machine."""
        return self.ok and not self.modules_total


@dataclass(frozen=True)
class VerifiedAdapter:
    """Bytes that passed every check against one base: the only thing that is ever attached. ``verified`` makes it."""

    files: AdapterFiles
    verdict: Verdict

    @property
    def layout(self) -> LoraLayout:
        """What it adapts."""
        return self.files.layout

    @property
    def sha256(self) -> str:
        """Of the weights file, in hex."""
        return self.files.sha256


def read_manifest_of(folder: Path) -> Manifest | None:
    """The ``adapter.toml`` in ``folder``; None when there is none.

    Raises:
        RefusedError: there is one and it is not acceptable.
    """
    path = folder / MANIFEST_NAME
    try:
        return read_manifest(read_bytes(path, MANIFEST_LIMIT), str(path))
    except NotFoundError:
        return None


def check_unedited(folder: Path, manifest: Manifest) -> None:
    """Hold the bytes of an installed adapter against what ``manifest`` says of them, without reading what they mean.

    Raises:
        NotFoundError: a file is gone.
        RefusedError: edited after it was installed.
    """
    said = manifest.weights
    named = ((WEIGHTS_NAME, WEIGHTS_LIMIT, said.sha256), (CONFIG_NAME, CONFIG_LIMIT, said.config_sha256))
    for name, limit, stated in named:
        if stated and hashlib.sha256(read_bytes(folder / name, limit)).hexdigest() != stated:
            raise _edited(folder)


def check_hashes(files: AdapterFiles, manifest: Manifest | None, sha256: str = "") -> None:
    """Hold the bytes against ``adapter.toml`` and against ``sha256``, where each says something.

    Raises:
        RefusedError: edited after it was installed.
    """
    stated = [(files.sha256, sha256)]
    if manifest is not None:
        stated += [(files.sha256, manifest.weights.sha256), (files.config_sha256, manifest.weights.config_sha256)]
    if any(each and not hmac.compare_digest(found, each) for found, each in stated):
        raise _edited(files.folder)


def _edited(folder: Path) -> RefusedError:
    return RefusedError(
        f'The adapter "{shown(folder.name)}" in {shown(str(folder), 200)} was edited after it was installed '
        "or packed: remove it and install it again from where it came."
    )


def check_fit(
    files: AdapterFiles | AdapterHeader, signature: BaseSignature, manifest: Manifest | None = None
) -> Verdict:
    """Hold an adapter's names and shapes against a base: its header is enough; never raises for what it finds.

    Of a base that is elsewhere nothing but its names can be compared: whether the shapes fit is its server's to say.
    """
    if not signature.has_shapes:
        doubt = _doubt_of_names(_declared(files, manifest), signature)
        return Verdict(True, "", files.warnings + ((doubt,) if doubt else ()), 0, 0, doubt)
    modules, base = files.layout.modules, signature.modules
    matched = sum(1 for name in modules if name in base)
    why = _misfit(files, signature) or _incomplete(files, signature)
    reason = _sentence(files, signature, _declared(files, manifest), why) if why else ""
    doubt = "" if reason else _doubt(files, signature, manifest)
    return Verdict(
        ok=not reason,
        reason=reason,
        warnings=files.warnings + ((doubt,) if doubt else ()),
        modules_matched=matched,
        modules_total=max(len(signature.text_modules), matched),
        doubt=doubt,
    )


def verified(files: AdapterFiles, signature: BaseSignature, manifest: Manifest | None = None) -> VerifiedAdapter:
    """Return the adapter as one that may be worn on the base of ``signature``.

    Raises:
        RefusedError: it does not fit, with the reason.
    """
    verdict = check_fit(files, signature, manifest)
    if not verdict.ok:
        raise RefusedError(verdict.reason)
    return VerifiedAdapter(files, verdict)


def load_verified(folder: Path, signature: BaseSignature, sha256: str = "") -> VerifiedAdapter:
    """Read, check and match an installed adapter: what an engine does before wearing it.

    ``sha256`` is what the request expects of the weights; empty expects nothing.

    Raises:
        NotFoundError: the folder is gone.
        RefusedError: it is damaged, was edited after install, or does not fit.
    """
    files = read_adapter(folder)
    manifest = read_manifest_of(folder)
    check_hashes(files, manifest, sha256)
    return verified(files, signature, manifest)


def _misfit(files: AdapterFiles | AdapterHeader, signature: BaseSignature) -> str:
    for name, module in files.layout.modules.items():
        if name not in signature.modules and name in _HEADS:
            return (
                f'it adapts the output head, "{name}", which is not supported; train it without that, or take another'
            )
        if name not in signature.modules:
            return f'it adapts "{shown(name, 100)}", which this base does not have; {_ELSEWHERE}'
        if _shape(module) != signature.modules[name]:
            (out, into), (base_out, base_into) = _shape(module), signature.modules[name]
            return f'"{shown(name, 100)}" is {into}→{out} there and {base_into}→{base_out} in this base; {_ELSEWHERE}'
    return ""


def _incomplete(files: AdapterFiles | AdapterHeader, signature: BaseSignature) -> str:
    """A file that lost tensors on its way would be half an adapter: what its config names must be there."""
    settings = files.settings
    if settings.targets is None or settings.selects_layers:
        return ""
    wanted = dict.fromkeys(settings.targets)
    named = [name for name in signature.modules if matching_key(wanted, name)]
    missing = [name for name in named if name not in files.layout.modules]
    if not missing:
        return ""
    count, first = f"{len(missing)} of the {len(named)} modules", shown(missing[0], 100)
    return f'{count} its config names have no tensors, "{first}" first: it is incomplete; fetch it again'


def _sentence(files: AdapterFiles | AdapterHeader, signature: BaseSignature, declared: str, why: str) -> str:
    made_for = f"made for {shown(declared, 100)}" if declared else "it does not say for which base it was made"
    return (
        f'The adapter "{shown(files.name)}" ({made_for}; checked against {shown(signature.lineage, 100)}) does not '
        f"fit: {why}."
    )


def _shape(module: ModuleLora) -> tuple[int, int]:
    return module.b.shape[0], module.a.shape[1]


def _doubt(files: AdapterFiles | AdapterHeader, signature: BaseSignature, manifest: Manifest | None) -> str:
    said = manifest.base if manifest else None
    declared, here = _declared(files, manifest), shown(signature.lineage, 100)
    if not declared:
        return f"It does not say which base it was made for; its shapes fit {here}."
    known = signature.is_called(declared) or bool(said and said.weights and said.weights == signature.weights)
    if not known:
        return f"It was made for {shown(declared, 100)}; its shapes fit {here}, its words may not."
    if said and said.fingerprint and said.fingerprint != signature.fingerprint:
        return f"It was made for a {here} with another tokenizer or other shapes; its words may not fit."
    return ""


def _doubt_of_names(declared: str, signature: BaseSignature) -> str:
    """Empty also where nobody knows yet who answers."""
    if not signature.lineage or (declared and signature.is_called(declared)):
        return ""
    who = shown(signature.lineage, 100)
    if not declared:
        return f"It does not say which base it was made for; {who} answers, on a server: only that can say if it fits."
    return f"It was made for {shown(declared, 100)}; {who} answers, on a server: only that can say whether it fits."


def _declared(files: AdapterFiles | AdapterHeader, manifest: Manifest | None) -> str:
    return (manifest.base.model if manifest else "") or files.settings.base_model
