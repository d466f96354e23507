"""The server on the real model: what the official client is answered is what ``ask`` answers."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from lora_chat.paths import Paths
from tests.real.conftest import Lora
from tests.serve.conftest import start_server

pytestmark = pytest.mark.real

BASE = "smollm2-135m"
QUESTION = "What is the capital of France?"
MESSAGES: Any = [{"role": "user", "content": QUESTION}]


def test_the_official_client_is_answered_as_ask_answers_and_nothing_is_saved(
    lora: Lora, loop_home: Paths, tmp_path: Path
) -> None:
    questions = tmp_path / "questions.jsonl"
    adapters = [None, "pirate", "pirate=0.5"]
    questions.write_text("".join(json.dumps({"prompt": QUESTION, "adapter": each}) + "\n" for each in adapters))
    alone = lora("ask", "--batch", questions, "-t", "0", "--max-tokens", "24").rows
    before = loop_home.database.exists() and loop_home.database.read_bytes()

    server = start_server(loop_home)
    try:
        client = server.client()
        listed = [each.id for each in client.models.list()]
        assert {BASE, f"{BASE}:pirate", f"{BASE}:support-bot", f"{BASE}:expenses"} <= set(listed)
        server.see("^Ready: ")
        for adapter, row in zip(adapters, alone, strict=True):
            model = f"{BASE}:{adapter}" if adapter else BASE
            done = client.chat.completions.create(model=model, messages=MESSAGES, temperature=0, max_tokens=24)
            assert done.choices[0].message.content == row["text"]
            assert done.choices[0].finish_reason == row["finish_reason"]
            assert done.usage is not None
            assert done.usage.prompt_tokens == row["prompt_tokens"]
            assert done.usage.completion_tokens == row["generated_tokens"]
            stream = client.chat.completions.create(
                model=model, messages=MESSAGES, temperature=0, max_tokens=24, stream=True
            )
            assert "".join(each.choices[0].delta.content or "" for each in stream) == row["text"]
        assert "Paris" in alone[0]["text"]

        tale: Any = [{"role": "user", "content": "Tell me a very long story about the sea."}]
        long = client.chat.completions.create(model=BASE, messages=tale, max_tokens=4000, stream=True)
        for _ in range(5):
            next(long)
        began = time.monotonic()
        long.close()
        client.chat.completions.create(model=BASE, messages=MESSAGES, max_tokens=1)
        assert time.monotonic() - began < 5
        server.see(" 499 ")
        server.interrupt()
        assert server.end() == 130
    finally:
        server.process.kill()
    after = loop_home.database.exists() and loop_home.database.read_bytes()
    assert before == after
