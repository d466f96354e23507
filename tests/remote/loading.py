"""The remote engine's plugin as a module of its own, taken from its folder by path as a person's would be."""

from __future__ import annotations

import importlib
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "plugins" / "remote"
NAME = "lora_chat_remote_under_test"


def plugin() -> Any:
    """``plugin.py``; its folder is a package, so that its files find each other."""
    if NAME not in sys.modules:
        spec = spec_from_file_location(NAME, FOLDER / "plugin.py", submodule_search_locations=[str(FOLDER)])
        assert spec is not None
        assert spec.loader is not None
        sys.modules[NAME] = module = module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[NAME]


def part(name: str) -> Any:
    """One of its other files: ``key`` or ``dialects.vllm``."""
    plugin()
    return importlib.import_module(f"{NAME}.{name}")
