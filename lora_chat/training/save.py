"""The trained weights as a plain PEFT folder. Owns what is written into it; never installs it. [torch]"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

from safetensors.torch import save

from lora_chat.adapters.install import claim_of
from lora_chat.adapters.manifest import BaseClaim, Manifest, to_toml
from lora_chat.adapters.outgoing.plain import Strength, plain_config
from lora_chat.adapters.peft_config import CONFIG_NAME
from lora_chat.adapters.signature import BaseSignature
from lora_chat.adapters.tensor_file import PREFIX
from lora_chat.adapters.weights import WEIGHTS_NAME, read_adapter
from lora_chat.files import staged_folder
from lora_chat.training.events import Report
from lora_chat.training.job import Job
from lora_chat.training.trainee import NewLayer, Trainee


def save_adapter(trainee: Trainee, folder: Path, job: Job, signature: BaseSignature, report: Report) -> None:
    """Write ``adapter_config.json``, ``adapter_model.safetensors`` and ``adapter.toml`` of what ``trainee`` learnt.

    The config names the base by its lineage, as PEFT would for a base from the hub, never by a path of this machine.
    """
    layers = trainee.layers
    tensors = {}
    for name, layer in layers.items():
        for side, tensor in (("A", layer.a), ("B", layer.b)):
            tensors[f"{PREFIX}{name}.lora_{side}.weight"] = tensor.float().cpu().contiguous()
    with staged_folder(folder) as stage:
        (stage / CONFIG_NAME).write_bytes(_config(signature.lineage, layers, use_rslora=trainee.use_rslora))
        (stage / WEIGHTS_NAME).write_bytes(save(tensors, {"format": "pt"}))
        # Its hashes are there from the first day: what is trained elsewhere travels before it is installed.
        manifest = replace(_manifest(job, signature, report, trainee.made_with), weights=claim_of(read_adapter(stage)))
        (stage / "adapter.toml").write_text(to_toml(manifest), encoding="utf-8")


def _config(base: str, layers: Mapping[str, NewLayer], *, use_rslora: bool) -> bytes:
    """``adapter_config.json``: the rank and alpha that most have, and those of the others by name."""
    alphas = {name: int(each.alpha) if each.alpha == int(each.alpha) else each.alpha for name, each in layers.items()}
    ranks = {name: len(each.a) for name, each in layers.items()}
    rank, alpha = (Counter(each.values()).most_common(1)[0][0] for each in (ranks, alphas))
    settings = json.loads(plain_config(base, Strength(int(rank), alpha, use_rslora), layers))
    settings["rank_pattern"] = {name: each for name, each in ranks.items() if each != rank}
    settings["alpha_pattern"] = {name: each for name, each in alphas.items() if each != alpha}
    return (json.dumps(settings, indent=2, sort_keys=True) + "\n").encode()


def _manifest(job: Job, signature: BaseSignature, report: Report, made_with: Sequence[str]) -> Manifest:
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
            "versions": {name: version(name) for name in ("lora-chat", *made_with)},
        },
        evaluation=evaluation,
    )
