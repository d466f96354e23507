"""An answer of the real base that was stopped goes on as if it had not been."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.factory import open_local
from lora_chat.engine.kept import Kept
from lora_chat.engine.protocol import Finished, Request, Sampling, TextChunk
from lora_chat.models.installed import find_base
from lora_chat.paths import Paths

pytestmark = pytest.mark.real

ASKED = (Turn(Role.USER, "Tell me in five sentences what a lighthouse is for."),)


@pytest.mark.network
def test_it_is_the_answer_that_was_never_stopped(real_home: Paths, tmp_path: Path) -> None:
    engine = open_local(find_base(real_home.models, "smollm2-135m"), Kept(tmp_path, tmp_path))
    try:
        whole = "".join(
            each.text
            for each in engine.generate(Request(ASKED, None, Sampling(temperature=0, max_tokens=60)))
            if isinstance(each, TextChunk)
        )
        for tokens in (1, 7, 20, 41):
            part, answer = Sampling(temperature=0, max_tokens=tokens), ""
            for each in engine.generate(Request(ASKED, None, part)):
                answer += each.text if isinstance(each, TextChunk) else ""
            rest = Sampling(temperature=0, max_tokens=60 - tokens)
            messages = (*ASKED, Turn(Role.ASSISTANT, answer.strip()))
            *pieces, done = engine.generate(Request(messages, None, rest, continues=True))
            more = "".join(each.text for each in pieces if isinstance(each, TextChunk))
            assert whole.strip().startswith((answer.strip() + more).strip())
            assert isinstance(done, Finished)
            assert done.prompt_tokens - done.cached_tokens <= 2
    finally:
        engine.close()
