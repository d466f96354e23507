"""Is a packed base still the base: loss on fixed text, and answers with a shipped adapter on, held against float32.

    python benchmarks/quality.py [--out quality.json]

Loss is teacher-forced, in nats per token, on the text that `auto` is judged by and on the held-out answers of the
shipped adapter. Answers are greedy, to the adapter's held-out and unrelated prompts, worn and bare; "same" is the share
that is letter for letter that of float32. Needs the embedded base (`lora-chat model pull smollm2-135m`).

Owns this table; never judges a base itself.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from trial import keep, machine

ADAPTER = Path(__file__).parent.parent / "adapters" / "support-bot"
PRECISIONS = ("fp32", "int8", "int4")
LONGEST_ANSWER = 48


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write everything here as JSON")
    options = parser.parse_args()
    rows = dict(measure())
    print(f"{'precision':10} {'loss: text':>11} {'held-out':>9} {'same worn':>10} {'same bare':>10}")
    for precision, row in rows.items():
        print(
            f"{precision:10} {row['text_loss']:11.4f} {row['heldout_loss']:9.4f} "
            f"{row['same_worn']:10.1%} {row['same_bare']:10.1%}"
        )
    keep({"machine": machine(), "rows": rows}, options.out)


def measure() -> Iterator[tuple[str, dict[str, Any]]]:
    """For each precision what it loses and how often it says the same as float32."""
    reference: dict[str, Any] = {}
    for precision in PRECISIONS:
        row = _measure(precision)
        reference = reference or row
        row["same_worn"] = _same(row["worn"], reference["worn"])
        row["same_bare"] = _same(row["bare"], reference["bare"])
        yield precision, row


def _measure(precision: Any) -> dict[str, Any]:
    from lora_chat.chat.conversation import Role, Turn
    from lora_chat.decoder.quality import TEXT
    from lora_chat.engine.factory import open_local_for
    from lora_chat.engine.protocol import Request, Sampling, TextChunk, Worn
    from lora_chat.models.installed import find_base
    from lora_chat.paths import find_paths

    paths = find_paths(os.environ)
    heldout, unrelated = (_lines(ADAPTER / f"{name}.jsonl") for name in ("heldout", "unrelated"))
    worn = Worn("support-bot", ADAPTER, "")
    greedy = Sampling(temperature=0, max_tokens=LONGEST_ANSWER)
    with closing(open_local_for(find_base(paths.models, "smollm2-135m"), paths, precision)) as engine:

        def answer(prompt: str, adapter: Worn | None) -> str:
            chunks = engine.generate(Request((Turn(Role.USER, prompt),), adapter, greedy))
            return "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk))

        def loss(text: str, adapter: Worn | None) -> float:
            import torch

            loaded = engine._load()
            ids = loaded.prompt.tokenizer.encode(text, add_special_tokens=False).ids[:512]
            outfit = None if adapter is None else loaded.wardrobe.dress(adapter).outfit
            logits = loaded.decoder.begin(outfit, 1.0).extend(ids[:-1], lambda: None, every=True)
            return float(torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:])))

        prompts = [each["prompt"] for each in (*heldout, *unrelated)]
        return {
            "text_loss": loss(TEXT, None),
            "heldout_loss": loss("\n".join(f"{each['prompt']} {each['response']}" for each in heldout), worn),
            "worn": [answer(prompt, worn) for prompt in prompts],
            "bare": [answer(prompt, None) for prompt in prompts],
        }


def _lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _same(answers: list[str], reference: list[str]) -> float:
    return sum(a == b for a, b in zip(answers, reference, strict=True)) / len(reference)


if __name__ == "__main__":
    main()
