"""A model card: the README.md that goes with an adapter. Owns its words and front matter; never writes a file.

The front matter is what the hub reads: a base, a library, a licence, tags. The figures come from ``adapter.toml``; what
is not known there is not said. A card that a person wrote is kept, and given front matter where it has none.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from lora_chat.adapters.manifest import Manifest
from lora_chat.adapters.weights import LoraLayout
from lora_chat.text import clean_line

_PLAIN_YAML = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[./_-][A-Za-z0-9]+)+|[a-z]{4,}")
_YAML_WORDS = frozenset({"true", "false", "null"})
_HUB_LICENSES = frozenset({
    "afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd-2-clause", "bsd-3-clause", "bsl-1.0", "cc-by-2.0",
    "cc-by-3.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0",
    "cc-by-sa-4.0", "cc0-1.0", "epl-2.0", "eupl-1.1", "gemma", "gpl-2.0", "gpl-3.0", "isc", "lgpl-2.1", "lgpl-3.0",
    "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "mit", "mpl-2.0", "openrail", "unlicense", "wtfpl", "zlib",
})  # fmt: skip
"""Those of the hub's own list that adapters and bases come under; any other is "other" there, with its name."""


def card(manifest: Manifest, layout: LoraLayout, source: str, readme: str = "") -> str:
    """The text of a README.md; ``source`` is what is installed, an archive or a folder.

    ``readme`` is the adapter's own, which comes before anything written here.
    """
    if readme.strip():
        return readme if readme.startswith("---\n") else f"{_front_matter(manifest)}\n{readme}"
    parts = (_front_matter(manifest), _about(manifest, layout), _how_to_wear(manifest, source), _figures(manifest))
    return "\n".join(part for part in parts if part)


def merged_card(manifest: Manifest) -> str:
    """The README.md of a base with the adapter folded in."""
    matter = _front_matter(manifest, library="transformers", relation="merge")
    base = manifest.base.model or "its base model"
    return f"{matter}\n# {manifest.name}\n\n{_sentence(manifest)}{_text(base)} with this LoRA adapter folded in.\n"


def _front_matter(manifest: Manifest, library: str = "peft", relation: str = "adapter") -> str:
    rows: dict[str, str] = {}
    if manifest.base.model:
        rows |= {"base_model": manifest.base.model, "base_model_relation": relation}
    rows |= {"library_name": library, "pipeline_tag": "text-generation"}
    if manifest.license:
        spdx = manifest.license.lower()
        known = spdx in _HUB_LICENSES
        rows |= {"license": spdx} if known else {"license": "other", "license_name": manifest.license}
    lines = [f"{key}: {_yaml(rows[key])}" for key in sorted(rows)]
    return "\n".join(["---", *lines, "tags:", "- lora", "- lora-chat", "---", ""])


def _about(manifest: Manifest, layout: LoraLayout) -> str:
    rows = {
        "base model": manifest.base.model or "not said",
        "rank": f"{layout.rank} on {', '.join(layout.targets)} ({len(layout.modules)} modules)",
        "parameters": f"{layout.parameters:,}",
        "weights": f"{manifest.weights.bytes:,} bytes, sha256 {manifest.weights.sha256}",
        "version": manifest.version,
        "licence": manifest.license or "not said",
        "authors": ", ".join(manifest.authors),
    }
    what = f"A LoRA adapter: it is worn on its base model and is none itself.\n\n{_table(rows)}"
    return f"# {manifest.name}\n\n{_sentence(manifest)}{what}"


def _how_to_wear(manifest: Manifest, source: str) -> str:
    name, chat = manifest.name, manifest.chat
    base = json.dumps(manifest.base.model or "the base model", ensure_ascii=False)
    question = chat.starters[0] if chat.starters else "Hello!"
    asked = json.dumps(re.sub(r"[\"$`\\!]", "", clean_line(question, 200)), ensure_ascii=False)
    lines = [
        "## How to wear it", "", "In lora-chat:", "", "```sh",
        f"lora-chat adapter install {shlex.quote(clean_line(source))}", f"lora-chat ask -a {name} {asked}", "```", "",
        "In plain PEFT, with its files in the folder `" + name + "`:", "", "```python", "from peft import PeftModel",
        "from transformers import AutoModelForCausalLM, AutoTokenizer", "",
        f"tokenizer = AutoTokenizer.from_pretrained({base})", f"model = AutoModelForCausalLM.from_pretrained({base})",
        f'model = PeftModel.from_pretrained(model, "{name}")', "```", "",
    ]  # fmt: skip
    if chat.temperature is not None:
        lines += [f"It asks for a temperature of {chat.temperature:g}.", ""]
    if chat.system_prompt:
        lines += [
            "It wants this said first:",
            "",
            *(f"> {_text(line)}" for line in chat.system_prompt.splitlines()),
            "",
        ]
    return "\n".join(lines)


def _figures(manifest: Manifest) -> str:
    parts = []
    for title, found in (("How it was trained", manifest.training), ("What was measured", manifest.evaluation)):
        if found:
            parts.append(f"## {title}\n\n{_table(dict(figures(found)))}")
    return "\n".join(parts)


def figures(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """``{"recipe": {"rank": 8}}`` as ``recipe, rank: 8``."""
    for key, value in values.items():
        name = prefix + key.replace("_", " ")
        if isinstance(value, dict):
            yield from figures(value, f"{name}, ")
        else:
            yield name, _figure(value)


def _figure(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return "; ".join(_figure(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_figure(each)}" for key, each in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(rows: Mapping[str, str]) -> str:
    kept = [f"| {_text(key)} | {_text(value)} |" for key, value in rows.items() if value]
    return "\n".join(["| | |", "|---|---|", *kept, ""])


def _sentence(manifest: Manifest) -> str:
    return f"{_text(manifest.description)}\n\n" if manifest.description else ""


def _text(value: str) -> str:
    """Foreign text as Markdown shows it letter by letter, on one line."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", clean_line(value))


def _yaml(value: str) -> str:
    """A text that no YAML reader takes for something else; JSON's quotes are YAML's."""
    plain = _PLAIN_YAML.fullmatch(value) and value.lower() not in _YAML_WORDS
    return value if plain else json.dumps(value, ensure_ascii=False)
