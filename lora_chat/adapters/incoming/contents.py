"""What an adapter folder may hold. Owns the five files that are installed and how large each may be; opens none."""

from __future__ import annotations

from collections.abc import Iterable

from lora_chat.adapters.manifest import MANIFEST_LIMIT, MANIFEST_NAME
from lora_chat.adapters.peft_config import CONFIG_LIMIT, CONFIG_NAME
from lora_chat.adapters.reading import shown
from lora_chat.adapters.weights import WEIGHTS_LIMIT, WEIGHTS_NAME

PICKLE_NAME = "adapter_model.bin"
MODEL_CONFIG_NAME = "config.json"
TEXTS = ("README.md", "LICENSE")
TEXT_LIMIT = 2**20
"""Bytes; a longer text is left out rather than refused."""
LIMITS = {
    CONFIG_NAME: CONFIG_LIMIT,
    WEIGHTS_NAME: WEIGHTS_LIMIT,
    MANIFEST_NAME: MANIFEST_LIMIT,
    **dict.fromkeys(TEXTS, TEXT_LIMIT),
}
"""Each of the five files to its most bytes."""
_LISTED = 1000


def listed(names: Iterable[str]) -> tuple[str, ...]:
    """Names of what is left out, as they may be shown: cleaned, sorted, each once, at most 1,000."""
    return tuple(sorted({shown(name, 80) for name in names})[:_LISTED])
