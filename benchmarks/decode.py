"""How fast one reply is made: lora-chat beside transformers with PEFT and llama.cpp, with an adapter and without.

    python benchmarks/decode.py [--out decode.json] [--runs 5] [--shape qwen3-1.7b] [--llama-python PATH] [--work DIR]

Batch 1, a prompt of 40 tokens, greedy. "ms/token" is each program's own figure without the first token; "wall" is a
fresh process from its start to its exit, seen from outside; "peak" is that process's largest memory. The adapter is of
rank 8 on every linear module. llama.cpp runs the model's own Q4_1 file and the same adapter, converted; that the
conversion is right is shown on a float32 file, where both programs must agree on the prompt's logits. Needs the
embedded base on this machine (`lora-chat model pull smollm2-135m`). A first round is not counted: it fills
the disk cache and whatever a program keeps between starts. The machine must be idle: llama.cpp suffers most if not.

Owns this table; never runs two programs at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trial
from peers import LLAMA, LORA_CHAT, TRANSFORMERS, load_subject, open_peer
from shapes import EMBEDDED, SHAPES, prepare, prepare_exact
from trial import Row, median, ratio, shown

REFERENCE = Row(TRANSFORMERS, "fp32", True)
CHECKED_TOKENS = 24


def worker(options: argparse.Namespace) -> None:
    """One fresh process: load, make the reply, say how it went."""
    subject = load_subject(options.job)
    peer = open_peer(options.worker, subject, options.precision, worn=options.worn)
    if options.logits:
        import numpy as np

        np.save(options.logits, peer.logits(subject.prompt.ids))
    reply = peer.reply(subject.prompt, options.tokens)
    trial.report({**vars(reply), "about": peer.about})


def check_conversion(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What the adapter does to the prompt's logits by PEFT and by llama.cpp, in float32, and the first tokens."""
    subject = prepare_exact(options.shape, work, options.gguf)
    job = work / "exact.json"
    subject.save(job)
    files: dict[tuple[str, bool], Path] = {}
    ids: dict[tuple[str, bool], list[int]] = {}
    for row in (Row(kind, "fp32", on) for kind in (TRANSFORMERS, LLAMA) for on in (True, False)):
        key, file = (row.kind, row.worn), work / f"logits-{row.kind}-{row.worn}.npy"
        run = trial.run(__file__, row, job, options, ("--tokens", str(CHECKED_TOKENS), "--logits", str(file)))
        if "skipped" in run:
            return {"skipped": run["skipped"]}
        files[key], ids[key] = file, run["ids"]
    return {
        "model": subject.shape,
        **_compare(files),
        "first_tokens": CHECKED_TOKENS,
        "same_tokens_with_adapter": _same(ids[TRANSFORMERS, True], ids[LLAMA, True]),
        "same_tokens_without": _same(ids[TRANSFORMERS, False], ids[LLAMA, False]),
    }


def _compare(files: dict[tuple[str, bool], Path]) -> dict[str, float]:
    import numpy as np

    logits = {key: np.load(file).astype(np.float64) for key, file in files.items()}
    ours = logits[TRANSFORMERS, True] - logits[TRANSFORMERS, False]
    theirs = logits[LLAMA, True] - logits[LLAMA, False]
    return {
        "largest_logit_difference_without": float(abs(logits[TRANSFORMERS, False] - logits[LLAMA, False]).max()),
        "largest_logit_difference_with_adapter": float(abs(logits[TRANSFORMERS, True] - logits[LLAMA, True]).max()),
        "largest_effect_of_adapter": float(abs(ours).max()),
        "cosine_of_effects": float(ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs)),
    }


def _same(some: Sequence[Any], other: Sequence[Any]) -> int:
    return next((place for place, pair in enumerate(zip(some, other, strict=False)) if pair[0] != pair[1]), len(some))


def summarise(runs: dict[Row, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Medians of each row, and how it stands to the reference."""
    reference = runs.get(REFERENCE, [])[1:]
    lines = []
    for row, found in runs.items():
        line: dict[str, Any] = {"peer": row.kind, "precision": row.precision, "adapter": row.worn}
        if any("skipped" in run for run in found):
            lines.append(line | {"skipped": found[-1]["skipped"]})
            continue
        first_start, *found = found
        figures = {name: median(found, name) for name in ("ms_per_token", "first_ms", "wall_s", "peak_mb")}
        lines.append(
            line
            | {name: None if value is None else round(value, 3) for name, value in figures.items()}
            | {
                "tokens": found[0]["made"],
                "prompt_tokens": found[0]["prompt_tokens"],
                "times_reference": ratio(median(reference, "ms_per_token"), figures["ms_per_token"]),
                "times_reference_wall": ratio(median(reference, "wall_s"), figures["wall_s"]),
                "about": _median_about(found),
                "text": found[0]["text"],
                "first_start": _raw(first_start),
                "runs": [_raw(run) for run in found],
            }
        )
    return lines


def _median_about(runs: list[dict[str, Any]]) -> dict[str, Any]:
    abouts: list[dict[str, Any]] = [run["about"] for run in runs]
    count = median(abouts, "decode_only_ms_per_token")
    return abouts[-1] | ({} if count is None else {"decode_only_ms_per_token": round(count, 3)})


def _raw(run: dict[str, Any]) -> dict[str, Any]:
    return {name: run[name] for name in ("ms_per_token", "first_ms", "wall_s", "peak_mb", "elsewhere")}


def write_texts(runs: dict[Row, list[dict[str, Any]]], folder: Path) -> None:
    """Give the peers that speak in ids their text."""
    from lora_chat.models.prompt import load_prompt_format

    form = load_prompt_format(folder)
    for run in (run for found in runs.values() for run in found if run.get("ids")):
        run["text"] = form.decode(run["ids"])


def agreement(lines: list[dict[str, Any]]) -> None:
    """How many leading characters of each text are those of transformers, with the same adapter or none."""
    texts = {line["adapter"]: line["text"] for line in lines if line["peer"] == TRANSFORMERS and "text" in line}
    for line in lines:
        text, expected = line.get("text", ""), texts.get(line["adapter"], "")
        if text and expected:
            line["same_text"] = f"{_same(text, expected)}/{len(expected)}"


def ratios(lines: list[dict[str, Any]]) -> dict[str, float | None]:
    """What the issue asks for: an adapter's cost at the same precision, and lora-chat over llama.cpp."""
    at = {(line["peer"], line["precision"], line["adapter"]): line for line in lines if "skipped" not in line}
    found: dict[str, float | None] = {}
    for (peer, precision, worn), line in at.items():
        if worn and (bare := at.get((peer, precision, False))):
            found[f"{peer} {precision}: adapter on / off"] = ratio(line["ms_per_token"], bare["ms_per_token"])
    for worn, what in ((True, " + adapter"), (False, "")):
        ours, theirs = at.get((LORA_CHAT, "auto", worn)), at.get((LLAMA, "q4_1", worn))
        if ours and theirs:
            name = f"{LORA_CHAT} auto{what} / {LLAMA}{what}"
            found[name] = ratio(ours["ms_per_token"], theirs["ms_per_token"])
            found[f"{name}, wall clock"] = ratio(ours["wall_s"], theirs["wall_s"])
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, on one shape."""
    with trial.work_folder(options) as work:
        subject = prepare(options.shape, work, options.gguf)
        file = work / f"{options.shape}.json"
        subject.save(file)
        rows = trial.rows(options)
        check = None if options.no_check or options.only else check_conversion(work, options)
        runs = trial.run_rounds(__file__, rows, file, options, ("--tokens", str(options.tokens)))
        write_texts(runs, Path(subject.folder))
    lines = summarise(runs)
    if options.shape == EMBEDDED:  # random weights say nothing that could be compared
        agreement(lines)
    return {
        "benchmark": "decode",
        "shape": options.shape,
        "machine": trial.machine(),
        "versions": trial.versions(),
        "prompt_tokens": len(subject.prompt.ids),
        "tokens": options.tokens,
        "rounds": options.runs,
        "busy_elsewhere": trial.busiest(runs),
        "conversion": check,
        "rows": lines,
        "ratios": ratios(lines),
    }


def show(result: dict[str, Any]) -> None:
    """As a table."""
    lines = [
        *trial.heading(result),
        f"{result['shape']}: prompt of {result['prompt_tokens']} tokens, {result['tokens']} new ones, greedy; "
        f"median of {result['rounds']}; x is how many times as fast as the first row",
        f"{'':18} {'adapter':>7} {'ms/token':>9} {'x':>6} {'wall s':>8} {'x':>6} {'first ms':>9} {'peak MB':>8} "
        f"{'tokens':>6} {'same text':>10}",
        *(_line(row) for row in result["rows"]),
        *(f"{name:52} {shown(value, 3)}" for name, value in result["ratios"].items()),
        trial.busy_line(result),
        *_paths(result["rows"]),
        *_own_counts(result["rows"]),
        *_conversion_lines(result["conversion"]),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _line(row: dict[str, Any]) -> str:
    head = f"{row['peer'] + ' ' + row['precision']:18} {'on' if row['adapter'] else 'off':>7} "
    if "skipped" in row:
        return f"{head} {row['skipped']}"
    return (
        f"{head}{shown(row['ms_per_token'], 2):>9} {shown(row['times_reference'], 2):>6} {shown(row['wall_s'], 2):>8} "
        f"{shown(row['times_reference_wall'], 2):>6} {shown(row['first_ms'], 0):>9} {shown(row['peak_mb'], 0):>8} "
        f"{row['tokens']:>6} {row.get('same_text', '-'):>10}"
    )


def _own_counts(rows: list[dict[str, Any]]) -> list[str]:
    """What llama.cpp counts without its Python binding."""
    found = {row["adapter"]: row["about"] for row in rows if row["peer"] == LLAMA and "about" in row}
    return [
        f"llama.cpp's own count, adapter {'on' if worn else 'off'}: "
        f"{shown(about.get('decode_only_ms_per_token'), 2)} ms/token"
        for worn, about in found.items()
    ]


def _paths(rows: list[dict[str, Any]]) -> list[str]:
    """Which path lora-chat took."""
    return [
        f"{row['peer']} {row['precision']}, adapter {'on' if row['adapter'] else 'off'}: {row['about']['decoding']}; "
        f"wall clock of its first start {shown(row['first_start']['wall_s'], 2)} s"
        for row in rows
        if row["peer"] == LORA_CHAT and "about" in row
    ]


def _conversion_lines(check: dict[str, Any] | None) -> list[str]:
    if check is None:
        return []
    if "skipped" in check:
        return [f"the adapter's conversion was not checked: {check['skipped']}"]
    return [
        f"the converted adapter, on {check['model']} in float32: its largest effect on a logit is "
        f"{check['largest_effect_of_adapter']:.4f}, cosine with PEFT's effect {check['cosine_of_effects']:.5f};",
        f"largest |difference| of a logit {check['largest_logit_difference_with_adapter']:.5f} with it, "
        f"{check['largest_logit_difference_without']:.5f} without; of {check['first_tokens']} greedy tokens the same: "
        f"{check['same_tokens_with_adapter']} and {check['same_tokens_without']}",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    trial.add_options(parser, SHAPES)
    parser.add_argument("--tokens", type=int, help="new tokens; 128, or 32 for a random shape")
    parser.add_argument("--no-check", action="store_true", help="do not check the converted adapter first")
    parser.add_argument("--logits", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options)
        return
    options.tokens = options.tokens or (128 if options.shape == EMBEDDED else 32)
    trial.keep(result := measure(options), options.out)
    show(result)


if __name__ == "__main__":
    main()
