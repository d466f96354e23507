"""An adapter's words as others may read them. Owns taking paths and the private mark out; never writes or asks.

Only copies are changed: the adapter itself stays private, and each way out asks again.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from lora_chat.adapters.install import Candidate
from lora_chat.adapters.manifest import Manifest
from lora_chat.adapters.outgoing.local_paths import hidden, mentions_path, without_homes, without_path
from lora_chat.adapters.peft_config import CONFIG_NAME
from lora_chat.adapters.reading import parse_object
from lora_chat.adapters.weights import AdapterFiles


def public_manifest(manifest: Manifest) -> Manifest:
    """``manifest`` as exported, so no longer private, and without places of this machine."""
    told: dict[str, Any] = {key: hidden(dict(getattr(manifest, key))) for key in ("training", "evaluation")}
    chat = dataclasses.replace(
        manifest.chat,
        system_prompt=without_homes(manifest.chat.system_prompt),
        starters=tuple(without_homes(each) for each in manifest.chat.starters),
    )
    return dataclasses.replace(
        manifest,
        description=without_homes(manifest.description),
        private=False,
        base=dataclasses.replace(manifest.base, model=without_path(manifest.base.model)),
        chat=chat,
        **told,
    )


def public_readme(candidate: Candidate) -> str:
    """Its own README.md, empty where there is none; training tools write the base's place into it."""
    text = candidate.texts.get("README.md", b"").decode()
    declared = candidate.files.settings.base_model
    if mentions_path(declared):
        text = text.replace(declared, without_path(declared))
    return without_homes(text)


def public_config(files: AdapterFiles) -> bytes:
    """The config as it is, but for paths: of the base the last part stays, a field that does nothing goes."""
    found = parse_object(files.config, CONFIG_NAME)
    kept = {key: value for key, value in found.items()
            if not (key in files.settings.ignored and mentions_path(value))}  # fmt: skip
    if mentions_path(found.get("base_model_name_or_path")):
        kept["base_model_name_or_path"] = without_path(files.settings.base_model)
    return files.config if kept == found else (json.dumps(kept, indent=2, sort_keys=True) + "\n").encode()
