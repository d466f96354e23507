"""What an ``adapter_config.json`` says. Owns which of PEFT's fields are accepted, refused or ignored; never obeys one.

The file is a stranger's. Only numbers and names are taken from it: rank, alpha, literal patterns, the base's name.
A pattern or target that is a regular expression is never run. Fields and defaults: PEFT 0.10 to 0.21, ``LoraConfig``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lora_chat.adapters.reading import parse_object, quoted, refusal, shown
from lora_chat.text import clean_line

CONFIG_NAME = "adapter_config.json"
CONFIG_LIMIT = 99_999
"""Bytes; the largest honest one known (every module of an 80-layer model named thrice) has about 70,000."""
MAX_RANK = 256
MAX_ALPHA = 65_536

# What does nothing once we build our own config: name -> the values PEFT writes when nobody set anything.
_IGNORED: dict[str, tuple[Any, ...]] = {
    "auto_mapping": (None,),
    "ensure_weight_tying": (False,),
    "eva_config": (None,),
    "exclude_modules": (None,),
    "fan_in_fan_out": (False,),  # how the base stores its weights; PEFT itself corrects it, and only merging reads it
    "inference_mode": (False, True),
    "layers_pattern": (None,),
    "layers_to_transform": (None,),
    "lora_dropout": (0, 0.0),
    "megatron_core": ("megatron.core", None),
    "merge_weights": (False,),
    "peft_version": (None,),
    "qalora_group_size": (16,),
    "revision": (None,),
    "runtime_config": ({"ephemeral_gpu_offload": False}, None),
}
# What would change the arithmetic or the base: accepted only at PEFT's own default.
_REFUSED: dict[str, tuple[Any, ...]] = {
    "alora_invocation_tokens": (None,),
    "arrow_config": (None,),
    "bias": ("none",),
    "corda_config": (None,),
    "enable_lora": (None,),
    "kasa_config": (None,),
    "layer_replication": (None,),
    "loftq_config": (None, {}),
    "lora_bias": (False,),
    "lora_ga_config": (None,),
    "megatron_config": (None,),
    "modules_to_save": (None, []),
    "monteclora_config": (None,),
    "target_parameters": (None, []),
    "trainable_token_indices": (None,),
    "use_bdlora": (None, False),
    "use_dora": (False,),
    "use_qalora": (False,),
    "velora_config": (None,),
}
_TAKEN = {
    "peft_type", "task_type", "base_model_name_or_path", "r", "lora_alpha", "use_rslora", "rank_pattern",
    "alpha_pattern", "target_modules", "init_lora_weights",
}  # fmt: skip
# Initialisations that leave the base alone; pissa, olora, corda, loftq and lora_ga subtract from it.
_HARMLESS_INITS = ("gaussian", "eva", "orthogonal", "mica")
_OTHER = "take another adapter"
_CORRECT = f"correct it, or {_OTHER}"
_LITERAL = re.compile(r"\^?[A-Za-z0-9_.-]{1,512}")


@dataclass(frozen=True)
class PeftSettings:
    """What is taken from ``adapter_config.json``."""

    base_model: str
    """The name it declares, cleaned; empty when it declares none."""
    rank: int
    alpha: float
    use_rslora: bool
    """Scale by alpha/sqrt(r) instead of alpha/r (arXiv:2312.03732)."""
    rank_pattern: Mapping[str, int]
    """Literal module name or its end to rank, in the file's order."""
    alpha_pattern: Mapping[str, float]
    targets: tuple[str, ...] | None
    """Literal names or ends of names; None when it is a regular expression, ``all-linear`` or absent."""
    selects_layers: bool
    """Whether other fields narrow ``targets``, so that not every match needs tensors."""
    ignored: tuple[str, ...]
    """Fields that are set and do nothing here."""
    warnings: tuple[str, ...]

    def rank_of(self, module: str) -> int:
        """The rank declared for ``module``."""
        return self.rank_pattern.get(matching_key(self.rank_pattern, module), self.rank)

    def alpha_of(self, module: str) -> float:
        """The alpha declared for ``module``."""
        return self.alpha_pattern.get(matching_key(self.alpha_pattern, module), self.alpha)

    def names(self, module: str) -> bool:
        """Whether ``targets`` select ``module``, as PEFT matches a list; True when nothing can be said."""
        return self.targets is None or any(end in self._target_set for end in _ends(module))

    @cached_property
    def _target_set(self) -> frozenset[str]:
        return frozenset(self.targets or ())


def matching_key(patterns: Mapping[str, object], module: str) -> str:
    """The first key that PEFT's ``get_pattern_key`` would match, for literal keys; ``""`` without one.

    PEFT runs ``(.*\\.)?(KEY)$``: the whole name, or an end of it that begins after a dot. ``^KEY`` is the whole name.
    """
    if not patterns:
        return ""
    hits = {f"^{module}", *_ends(module)} & patterns.keys()
    return next((key for key in patterns if key in hits), "") if len(hits) > 1 else next(iter(hits), "")


def _ends(module: str) -> list[str]:
    """``a.b.c`` -> ``a.b.c``, ``b.c``, ``c``."""
    parts = module.split(".")
    return [".".join(parts[start:]) for start in range(len(parts))]


def parse_config(raw: bytes, where: str) -> PeftSettings:
    """Read the bytes of an ``adapter_config.json``; ``where`` names it in sentences.

    Raises:
        RefusedError: it is not strict JSON, not a plain LoRA, or a value is out of bounds, naming the field.
    """
    found = parse_object(raw, where)
    _check_kind(found, where)
    _check_refused(found, where)
    ignored = tuple(sorted(name for name in found if name not in _TAKEN | _REFUSED.keys() and found[name] is not None))
    notable = [name for name in ignored if name not in {"peft_version", "lora_dropout"}]
    notable = [name for name in notable if not _is_default(found[name], _IGNORED.get(name, ()))]
    said = "Ignored in adapter_config.json, since it changes nothing here: " + ", ".join(map(shown, notable)) + "."
    return PeftSettings(
        base_model=_base_name(found.get("base_model_name_or_path"), where),
        rank=_rank(found.get("r", 8), "r", where),
        alpha=_alpha(found.get("lora_alpha", 8), "lora_alpha", where),
        use_rslora=_flag(found.get("use_rslora", False), "use_rslora", where),
        rank_pattern={key: _rank(value, f"rank_pattern[{shown(key)}]", where)
                      for key, value in _pattern(found, "rank_pattern", where).items()},
        alpha_pattern={key: _alpha(value, f"alpha_pattern[{shown(key)}]", where)
                       for key, value in _pattern(found, "alpha_pattern", where).items()},
        targets=_targets(found.get("target_modules"), where),
        selects_layers=any(found.get(name) not in (None, []) for name in ("layers_to_transform", "exclude_modules")),
        ignored=ignored,
        warnings=(said,) if notable else (),
    )  # fmt: skip


def _check_kind(found: dict[str, Any], where: str) -> None:
    if found.get("peft_type") != "LORA":
        said = quoted(found["peft_type"]) if "peft_type" in found else "nothing"
        raise refusal(where, f'its peft_type must be "LORA", and it says {said}; train it as LoRA, or {_OTHER}')
    if found.get("task_type") not in (None, "CAUSAL_LM"):
        said = quoted(found["task_type"])
        raise refusal(where, f"its task_type must be CAUSAL_LM, and it says {said}; train it for that, or {_OTHER}")
    start = found.get("init_lora_weights", True)
    if not (isinstance(start, bool) or start in _HARMLESS_INITS):
        raise refusal(where, f"init_lora_weights {quoted(start)} changes the base model; save it as a plain LoRA")


def _check_refused(found: dict[str, Any], where: str) -> None:
    for name, value in found.items():
        if name in _REFUSED and not _is_default(value, _REFUSED[name]):
            raise refusal(where, f"it sets {name} to {quoted(value)}, which cannot be worn here; train it without, or "
                                 f"{_OTHER}")  # fmt: skip
        known = name in _TAKEN or name in _REFUSED or name in _IGNORED
        if not known and value not in (None, False, [], {}, ""):
            raise refusal(where, f'its field "{shown(name)}" is unknown here and could change the arithmetic; update '
                                 f"lora-chat, or {_OTHER}")  # fmt: skip


def _is_default(value: Any, defaults: tuple[Any, ...]) -> bool:
    # JSON's 0 == False and 1 == True in Python: compare the kind as well.
    return any(type(value) is type(default) and value == default for default in defaults)


def _base_name(value: Any, where: str) -> str:
    if value is not None and not isinstance(value, str):
        raise refusal(where, f"base_model_name_or_path must be a text, not {quoted(value)}; {_CORRECT}")
    return clean_line(value or "", 200)


def _flag(value: Any, name: str, where: str) -> bool:
    if not isinstance(value, bool):
        raise refusal(where, f"{name} must be true or false, not {quoted(value)}; {_CORRECT}")
    return value


def _rank(value: Any, name: str, where: str) -> int:
    if type(value) is not int or not 1 <= value <= MAX_RANK:
        raise refusal(where, f"{name} must be a whole number from 1 to {MAX_RANK}, not {quoted(value)}; {_CORRECT}")
    return value


def _alpha(value: Any, name: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= MAX_ALPHA:
        raise refusal(
            where, f"{name} must be a number above 0 and at most {MAX_ALPHA}, not {quoted(value)}; {_CORRECT}"
        )
    return value  # an int stays one: PEFT divides it as it is


def _pattern(found: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    value = found.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refusal(where, f"{name} must be an object, not {quoted(value)}; {_CORRECT}")
    if unfit := next((key for key in value if not _LITERAL.fullmatch(key)), None):
        raise refusal(where, f'the {name} key "{shown(unfit)}" is not a literal module name; write the names out')
    return value


def _targets(value: Any, where: str) -> tuple[str, ...] | None:
    if value is None or isinstance(value, str):
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise refusal(where, f"target_modules must be a text or a list of texts, not {quoted(value)}; {_CORRECT}")
    if not value:
        raise refusal(where, f"target_modules is empty, so it adapts nothing; {_CORRECT}")
    return tuple(value)
