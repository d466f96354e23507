"""Greedy replies by llama.cpp, under an interpreter that has llama-cpp-python: a job's JSON in, token ids out."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    # One thread: its threads wait for each other by spinning, which on a busy machine takes minutes.
    llama = importlib.import_module("llama_cpp").Llama(
        job["model"], lora_path=job["lora"], n_ctx=512, n_threads=1, n_threads_batch=1, verbose=False
    )
    replies = []
    for prompt in job["prompts"]:
        made: list[int] = []
        llama.reset()
        for token in llama.generate(prompt, temp=0.0, repeat_penalty=1.0):
            if token in job["end_ids"] or len(made) == job["max_tokens"]:
                break
            made.append(token)
        replies.append(made)
    sys.stdout.write(json.dumps(replies) + "\n")


if __name__ == "__main__":
    main()
