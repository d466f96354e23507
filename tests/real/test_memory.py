"""What the engine process needs with a training beside the chat, and that it gives it back."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import pytest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.kept import Kept, kept_for
from lora_chat.engine.process import ProcessEngine
from lora_chat.engine.protocol import Request, Sampling
from lora_chat.models.installed import find_base
from lora_chat.paths import Paths
from lora_chat.training.events import Preparing, StepDone
from lora_chat.training.job import create_job
from lora_chat.training.needs import Build
from lora_chat.training.recipe import choose_recipe
from lora_chat.training.selection import Lesson, Selection

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="no /proc"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="another allocator"),
]

PEAK_MB = 1000
"""On the first day, when the base answers general questions. With transformers and PEFT 1,700, and 2,840 once."""


def megabytes(pid: int, field: str) -> float:
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith(field))


@pytest.fixture
def kept(real_home: Paths, tmp_path: Path) -> Kept:
    """As on the first day: neither packed for replies nor with the general answers that the first training makes."""
    return Kept(tmp_path / "kept", kept_for(find_base(real_home.models, "smollm2-135m"), real_home).kernels)


def test_a_first_load_needs_no_more_than_chatting_does(real_home: Paths, kept: Kept, tmp_path: Path) -> None:
    """It packs the weights, holds them against themselves and measures them: never all of both at once."""
    base = find_base(real_home.models, "smollm2-135m")
    build = Build(base.parameters, base.signature.text_modules, fast=True, wide=base.is_wide)
    with closing(ProcessEngine(base, kept, tmp_path / "logs")) as engine:
        assert engine.load().decoding == "fast path, int4"
        assert (kept.folder / "packed-int4.safetensors").is_file()
        assert engine.pid is not None
        assert megabytes(engine.pid, "VmHWM") <= build.chat_bytes / 2**20


def test_the_first_training_beside_a_chat_and_a_long_lesson_fit_and_are_given_back(
    real_home: Paths, kept: Kept, tmp_path: Path
) -> None:
    base = find_base(real_home.models, "smollm2-135m")
    asked = Request((Turn(Role.USER, "Hello, who are you?"),), None, Sampling(temperature=0, max_tokens=40))
    long = "The ferries leave every twenty minutes until midnight. " * 60
    lessons = tuple(
        Lesson(
            (Turn(Role.USER, f"Where is shop {at}?"), Turn(Role.ASSISTANT, f"At {at} Harbour Street. {more}")),
            (1,),
            "x",
        )
        for at, more in enumerate(("", long))
    )
    recipe = choose_recipe(len(lessons), base.parameters)
    job = create_job(
        tmp_path / "jobs",
        "room",
        base.name,
        "test",
        Selection(lessons, {}),
        recipe.__class__(**vars(recipe) | {"max_steps": 2}),
    )
    with closing(ProcessEngine(base, kept, tmp_path / "logs")) as engine:
        list(engine.generate(asked))
        assert engine.pid is not None
        chatting = megabytes(engine.pid, "VmRSS")
        events = []
        for event in engine.train(job):
            events.append(event)
            if isinstance(event, StepDone):
                list(engine.generate(asked))
        assert any(isinstance(event, Preparing) for event in events), "the base's answers were made"
        assert megabytes(engine.pid, "VmHWM") <= PEAK_MB
        list(engine.generate(asked))
        assert megabytes(engine.pid, "VmRSS") <= chatting + 400, "libraries stay, weights and room do not"
