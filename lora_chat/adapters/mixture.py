"""Several adapters as one: their weighted sum. Owns its notation, arithmetic and provenance; never touches a base.

A sum of low-rank products is one low-rank product of the factors side by side, so nothing is approximated: the As are
stacked, the Bs, each times its scaling and share, stand beside each other. PEFT calls this ``combination_type="cat"``.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_chat.adapters.manifest import Manifest
from lora_chat.adapters.peft_config import MAX_RANK
from lora_chat.adapters.reading import shown
from lora_chat.adapters.scale import LARGEST_SCALE, check_scale
from lora_chat.adapters.tensor_file import PREFIX, Tensor, encode_tensors
from lora_chat.adapters.weights import AdapterFiles, ModuleLora, assembled
from lora_chat.errors import RefusedError

if TYPE_CHECKING:
    from lora_chat.adapters.numbers import Float32

MOST = 8
"""Adapters in one mixture."""

_PLUS = r"\+(?=\s*[^=+\s,]*=)"
"""Between two shares; the one in 1e+1 is not."""

_BETWEEN = re.compile(rf"\s*(?:,|{_PLUS})\s*|\s+")


@dataclass(frozen=True)
class Share:
    """One adapter's part in a mixture."""

    name: str
    weight: float
    """Multiplies the adapter's own strength."""


def read_shares(text: str) -> tuple[Share, ...]:
    """Read ``a=0.7 b=0.3``; the shares may also stand between commas or plus signs.

    Raises:
        RefusedError: no such thing, or a share that cannot be worn, saying how it is written.
    """
    shares = tuple(_share(word) for word in _BETWEEN.split(text.strip()) if word)
    names = Counter(share.name for share in shares)
    if len(shares) < 2:
        raise RefusedError("A mixture has two adapters or more: write their shares, a=0.7 b=0.3 for example.")
    if len(shares) > MOST:
        raise RefusedError(f"A mixture has at most {MOST} adapters, not {len(shares)}: leave some out.")
    if twice := next((name for name, count in names.items() if count > 1), ""):
        raise RefusedError(f'"{shown(twice)}" stands in the mixture twice: write its whole share once.')
    return shares


def written(shares: Sequence[Share]) -> str:
    """The mixture as one word that ``read_shares`` reads: ``a=0.7+b=0.3``. No adapter can be called so."""
    return "+".join(f"{share.name}={_number(share.weight)}" for share in shares)


def is_mixture(name: str) -> bool:
    """Whether ``name`` means a mixture rather than one adapter."""
    return re.search(_PLUS, name) is not None


def names_in(worn: str) -> tuple[str, ...]:
    """The adapters that a name of what is worn means: its parts, or itself."""
    return tuple(share.name for share in read_shares(worn)) if is_mixture(worn) else (worn,)


def mixed(parts: Sequence[tuple[AdapterFiles, float]], name: str) -> AdapterFiles:
    """The sum of ``parts``, each times its weight, as one adapter in float32 called ``name``.

    Raises:
        RefusedError: two of them adapt a module in unlike shapes, or their ranks are too many together.
    """
    modules: dict[str, list[tuple[AdapterFiles, ModuleLora, float]]] = {}
    for files, weight in parts:
        for module, lora in files.layout.modules.items():
            modules.setdefault(module, []).append((files, lora, weight))
    tensors: dict[str, Tensor] = {}
    ranks: dict[str, int] = {}
    for module, found in modules.items():
        _check_alike(module, found)
        a, b = _side_by_side(found)
        ranks[module] = len(a)
        tensors[f"{PREFIX}{module}.lora_A.weight"] = Tensor("F32", a.shape, a.tobytes())
        tensors[f"{PREFIX}{module}.lora_B.weight"] = Tensor("F32", b.shape, b.tobytes())
    base = next((files.settings.base_model for files, _ in parts if files.settings.base_model), "")
    config = json.dumps(_config(ranks, base), indent=2, sort_keys=True).encode()
    return assembled(config, encode_tensors(tensors), Path(name))


def described(parts: Sequence[tuple[Manifest, str, Share]]) -> Manifest:
    """What is written about a mixture of these: (what each says of itself, its sha256, its share).

    It is as private as the most private of them, and wants to be worn as the one with the largest share.
    """
    manifests = [manifest for manifest, _, _ in parts]
    largest = max(parts, key=lambda part: abs(part[2].weight))[0]
    licences = list(dict.fromkeys(each.license for each in manifests))
    return Manifest(
        description="A mixture: " + ", ".join(f"{_number(share.weight)} of {share.name}" for _, _, share in parts),
        license=" AND ".join(licences) if all(licences) else "",
        authors=tuple(dict.fromkeys(author for each in manifests for author in each.authors)),
        private=any(each.private for each in manifests),
        base=next((each.base for each in manifests if each.base.model), largest.base),
        chat=largest.chat,
        training={
            "source": "mixture",
            "parts": [
                {"name": share.name, "version": manifest.version, "share": share.weight, "sha256": sha256}
                for manifest, sha256, share in parts
            ],
        },
    )


def _number(weight: float) -> str:
    short = f"{weight:g}"
    return short if float(short) == weight else repr(weight)


def _share(word: str) -> Share:
    name, sign, number = word.partition("=")
    try:
        weight = float(number) if sign else math.nan
        check_scale(weight)
    except (ValueError, RefusedError) as error:
        raise RefusedError(f'"{shown(word)}" is no share of a mixture: write a name and a number from '
                           f"-{LARGEST_SCALE:g} to {LARGEST_SCALE:g}, a=0.7.") from error  # fmt: skip
    return Share(name, weight)


def _check_alike(module: str, found: Sequence[tuple[AdapterFiles, ModuleLora, float]]) -> None:
    first, lora, _ = found[0]
    for other, its, _ in found[1:]:
        if (lora.b.shape[0], lora.a.shape[1]) != (its.b.shape[0], its.a.shape[1]):
            raise RefusedError(
                f'"{shown(first.name)}" and "{shown(other.name)}" cannot be mixed: '
                f'"{shown(module, 100)}" has other shapes in each; mix adapters made for one base.'
            )
    rank = sum(each.rank for _, each, _ in found)
    if rank > MAX_RANK:
        names = ", ".join(shown(files.name) for files, _, _ in found)
        raise RefusedError(
            f"{names} have the rank {rank} together, where at most {MAX_RANK} can be worn: mix fewer of them."
        )


def _side_by_side(
    found: Sequence[tuple[AdapterFiles, ModuleLora, float]],
) -> tuple[Float32, Float32]:
    """A (rank, in) and B (out, rank) of the sum, with alpha equal to the rank."""
    import numpy as np

    a = [files.numbers(lora.a) for files, lora, _ in found]
    b = [files.numbers(lora.b) * np.float32(lora.scaling * weight) for files, lora, weight in found]
    return np.concatenate(a), np.concatenate(b, axis=1)


def _config(ranks: dict[str, int], base: str) -> dict[str, Any]:
    """PEFT's config for these modules, by their full names: an end of one could mean others that nothing adapts."""
    rank = Counter(ranks.values()).most_common(1)[0][0]
    others = {module: each for module, each in sorted(ranks.items()) if each != rank}
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": rank,
        "rank_pattern": others,
        "alpha_pattern": others,
        "target_modules": sorted(ranks),
        "lora_dropout": 0.0,
        "bias": "none",
        "use_rslora": False,
        "init_lora_weights": True,
        "inference_mode": True,
        "fan_in_fan_out": False,
        "modules_to_save": None,
    }
