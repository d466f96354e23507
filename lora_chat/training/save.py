"""The trained weights as a plain PEFT folder. Owns what is written into it; never installs it. [torch]"""

from __future__ import annotations

from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import peft
from safetensors.torch import save

from lora_chat.adapters.install import claim_of
from lora_chat.adapters.manifest import BaseClaim, Manifest, to_toml
from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.weights import read_adapter
from lora_chat.files import staged_folder
from lora_chat.training.events import Report
from lora_chat.training.job import Job


def save_adapter(tree: Any, folder: Path, job: Job, signature: BaseSignature, report: Report) -> None:
    """Write ``adapter_config.json``, ``adapter_model.safetensors`` and ``adapter.toml`` of the trained ``tree``.

    The config names the base by its lineage, as PEFT would for a base from the hub, never by a path of this machine.
    """
    config = tree.peft_config["default"]
    config.base_model_name_or_path = signature.lineage
    config.inference_mode = True
    config.target_modules = sorted(config.target_modules)
    for kind in ("rank_pattern", "alpha_pattern"):  # made for PEFT's matching where it grew; a reader takes plain names
        setattr(config, kind, {key.replace("\\", ""): each for key, each in getattr(config, kind).items()})
    tensors = {
        name: tensor.detach().float().cpu().contiguous()
        for name, tensor in peft.get_peft_model_state_dict(
            tree, adapter_name="default", save_embedding_layers=False
        ).items()
    }
    with staged_folder(folder) as stage:
        config.save_pretrained(str(stage))
        (stage / "adapter_model.safetensors").write_bytes(save(tensors, {"format": "pt"}))
        # Its hashes are there from the first day: what is trained elsewhere travels before it is installed.
        manifest = replace(_manifest(job, signature, report), weights=claim_of(read_adapter(stage)))
        (stage / "adapter.toml").write_text(to_toml(manifest), encoding="utf-8")


def _manifest(job: Job, signature: BaseSignature, report: Report) -> Manifest:
    """Provenance in numbers: counts, recipe, seed, versions; never the text."""
    figures = {key: value for key, value in asdict(report).items() if value not in (None, "")}
    measured = [key for key in figures if key.endswith(("_before", "_after", "_bound")) or key == "forgot"]
    evaluation = {key: figures.pop(key) for key in measured}
    return Manifest(
        name=job.name,
        version=job.version,
        private=True,
        base=BaseClaim(signature.lineage, signature.fingerprint, signature.weights, signature.chat_template),
        training={
            "source": job.source,
            "conversations": len(job.train) + len(job.heldout),
            **({"after": job.after, "replayed": job.replayed} if job.start else {}),
            "recipe": asdict(job.recipe),
            **figures,
            "versions": {name: version(name) for name in ("lora-chat", "torch", "transformers", "peft")},
        },
        evaluation=evaluation,
    )
