"""What every engine keeps: in this process, in one of its own, the scripted one, or on a server that is asked.

What they keep of trainings is in ``test_contract_training``: a server trains nothing.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.echo import EchoEngine
from lora_chat.engine.kept import Kept
from lora_chat.engine.process import ProcessEngine
from lora_chat.engine.protocol import Engine, Finished, Request, Sampling, TextChunk, Worn
from lora_chat.errors import EngineError, NotFoundError, RefusedError
from lora_chat.models.installed import InstalledBase
from tests.engine.conftest import (
    GREEDY,
    QUESTION,
    ask,
    finish,
    is_one_sentence,
    make_adapter,
    make_job,
    text_of,
    user,
)
from tests.engine.engines import KINDS, REMOTE, make


@pytest.fixture(scope="module", params=[*KINDS, *REMOTE])
def engine(
    request: pytest.FixtureRequest,
    tiny_llama: InstalledBase,
    kept: Kept,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Engine]:
    with ExitStack() as stack:
        yield make(request.param, tiny_llama, kept, tmp_path_factory, stack)


def test_load_says_what_was_loaded_and_does_it_once(engine: Engine, tiny_llama: InstalledBase) -> None:
    info = engine.load()
    assert (info.name, info.context_window) == (tiny_llama.name, 512)
    assert engine.load() == info


def test_a_reply_is_text_and_then_one_finished(engine: Engine) -> None:
    chunks = list(engine.generate(Request(user(QUESTION), None, GREEDY)))
    done = finish(iter(chunks))
    assert all(isinstance(chunk, TextChunk) and chunk.text for chunk in chunks[:-1])
    assert len(chunks) > 3
    assert done.prompt_tokens == engine.count_tokens(user(QUESTION))
    assert done.generated_tokens >= len(chunks) - 2  # held back text comes as one more piece
    assert done.first_token_ms is not None
    assert done.first_token_ms > 0


def test_greedy_is_deterministic(engine: Engine) -> None:
    assert ask(engine) == ask(engine) != ""


def test_the_seed_alone_decides_a_sampled_reply(engine: Engine, adapters: list[Worn]) -> None:
    hot = Sampling(temperature=1.0, top_p=1.0, max_tokens=24, seed=7)
    for adapter in (None, adapters[0]):
        first = ask(engine, adapter=adapter, sampling=hot)
        assert ask(engine, adapter=adapter, sampling=hot) == first
        assert ask(engine, adapter=adapter, sampling=replace(hot, seed=8)) != first


def test_a_reply_without_a_seed_names_the_one_it_drew(engine: Engine) -> None:
    hot = Sampling(temperature=1.0, top_p=1.0, max_tokens=24)
    chunks = list(engine.generate(Request(user(QUESTION), None, hot)))
    text = "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk))
    assert ask(engine, sampling=replace(hot, seed=finish(iter(chunks)).seed)) == text


def test_each_request_wears_its_own_adapter_and_none_is_the_base(engine: Engine, adapters: list[Worn]) -> None:
    red, green, _ = adapters
    base = ask(engine)
    said = {None: base, red: ask(engine, adapter=red), green: ask(engine, adapter=green)}
    assert len(set(said.values())) == 3
    for adapter in (red, None, green, red, green, None, None, red):
        assert ask(engine, adapter=adapter) == said[adapter]


def test_scale_0_is_the_base_and_half_is_another_reply(engine: Engine, adapters: list[Worn]) -> None:
    base, whole = ask(engine), ask(engine, adapter=adapters[0])
    assert ask(engine, adapter=replace(adapters[0], scale=0.0)) == base
    assert ask(engine, adapter=replace(adapters[0], scale=0.5)) not in (base, whole)
    assert ask(engine, adapter=adapters[0]) == whole


def test_the_reply_ends_before_a_stop_string_even_if_tokens_split_it(engine: Engine) -> None:
    pieces = [
        chunk.text for chunk in engine.generate(Request(user(QUESTION), None, GREEDY)) if isinstance(chunk, TextChunk)
    ]
    whole = "".join(pieces)
    for first, second in ((pieces[1], pieces[2]), (pieces[3], pieces[4])):
        stop = first[-1] + second[0]
        assert stop in whole
        chunks = list(engine.generate(Request(user(QUESTION), None, replace(GREEDY, stop=("\0never", stop)))))
        text = "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk))
        assert text == whole[: whole.find(stop)]
        assert finish(iter(chunks)).reason == "stop"


def test_what_might_have_become_a_stop_string_is_given_in_the_end(engine: Engine) -> None:
    whole = ask(engine)
    assert ask(engine, sampling=replace(GREEDY, stop=(whole[-1] + "\0never",))) == whole


def test_max_tokens_ends_a_reply_for_its_length(engine: Engine) -> None:
    done = finish(engine.generate(Request(user(QUESTION), None, replace(GREEDY, max_tokens=5))))
    assert (done.reason, done.generated_tokens) == ("length", 5)


def test_a_reply_cancelled_before_it_began_is_empty(engine: Engine) -> None:
    cancel = threading.Event()
    cancel.set()
    [done] = list(engine.generate(Request(user(QUESTION), None, GREEDY), cancel))
    assert finish(iter([done])).reason == "cancelled"
    assert finish(iter([done])).generated_tokens == 0


def test_a_running_reply_ends_within_one_token_of_its_cancel(engine: Engine) -> None:
    cancel = threading.Event()
    seen, after = "", 0
    for chunk in engine.generate(Request(user(QUESTION * 9), None, replace(GREEDY, max_tokens=300)), cancel):
        if isinstance(chunk, TextChunk):
            seen += chunk.text
            after += cancel.is_set()
            if len(seen) > 8:
                cancel.set()
        else:
            last = chunk
    assert last.reason == "cancelled"
    # What the other process had said before it heard is on its way already.
    assert last.generated_tokens < 200 if isinstance(engine, ProcessEngine) else after <= 1
    assert ask(engine, QUESTION * 9, sampling=replace(GREEDY, max_tokens=300)).startswith(seen)


def test_a_reply_nobody_reads_on_frees_the_engine(engine: Engine) -> None:
    expected = ask(engine)
    for _ in range(3):
        chunks = engine.generate(Request(user(QUESTION), None, replace(GREEDY, max_tokens=300)))
        next(chunks)
        chunks.close()  # type: ignore[attr-defined]
    with ThreadPoolExecutor(1) as other:  # a floor held by nobody would hang here
        assert other.submit(ask, engine).result(30) == expected


def test_a_reply_that_waits_for_another_can_be_cancelled(engine: Engine) -> None:
    first = engine.generate(Request(user(QUESTION), None, replace(GREEDY, max_tokens=300)))
    next(first)
    cancel = threading.Event()
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(lambda: finish(engine.generate(Request(user(QUESTION), None, GREEDY), cancel)))
        cancel.set()
        try:
            assert waiting.result(10).reason == "cancelled"
        finally:
            first.close()  # type: ignore[attr-defined]


def test_several_are_worn_at_once_and_each_counts(engine: Engine, adapters: list[Worn]) -> None:
    red, green, blue = adapters
    both = replace(red, scale=0.6, beside=(replace(green, scale=0.5),))
    said = ask(engine, adapter=both)
    assert said == ask(engine, adapter=both)
    assert len({said, ask(engine), ask(engine, adapter=red), ask(engine, adapter=replace(red, scale=0.6))}) == 4
    assert said != ask(engine, adapter=replace(red, scale=0.6, beside=(replace(blue, scale=0.5),)))
    assert said != ask(engine, adapter=replace(red, scale=0.6, beside=(replace(green, scale=-0.5),)))


def test_one_of_several_that_is_gone_or_edited_ends_the_reply_with_its_name(
    engine: Engine, adapters: list[Worn], tiny_llama: InstalledBase, tmp_path: Path
) -> None:
    other = make_adapter(tmp_path / "other", tiny_llama, 5)
    both = replace(adapters[0], beside=(other,))
    ask(engine, adapter=both)
    weights = other.folder / "adapter_model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-2] ^= 1
    weights.write_bytes(raw)
    with pytest.raises(RefusedError, match=r"other.*edited"):
        ask(engine, adapter=both)
    shutil.rmtree(other.folder)
    with pytest.raises(NotFoundError, match="other"):
        ask(engine, adapter=both)
    assert ask(engine, adapter=adapters[0]) != ask(engine)


def test_replies_of_several_threads_do_not_mix(engine: Engine, adapters: list[Worn]) -> None:
    hot = Sampling(temperature=1.0, top_p=1.0, max_tokens=16)
    wanted = [(adapter, seed) for adapter in (None, *adapters) for seed in (1, 2)]

    def reply(wish: tuple[Worn | None, int]) -> str:
        return ask(engine, adapter=wish[0], sampling=replace(hot, seed=wish[1]))

    alone = [reply(wish) for wish in wanted]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(reply, wanted * 3)) == alone * 3


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_p", 1.5),
        ("top_k", -1),
        ("repetition_penalty", 0.0),
        ("max_tokens", 0),
        ("seed", -1),
        ("seed", 2**63),
    ],
)
def test_a_setting_out_of_its_range_is_refused_by_name(engine: Engine, setting: str, value: float) -> None:
    sampling = replace(GREEDY, **{setting: value})  # type: ignore[arg-type]
    with pytest.raises(RefusedError, match=setting) as caught:
        ask(engine, sampling=sampling)
    assert is_one_sentence(caught.value)


def test_a_prompt_longer_than_the_context_window_is_refused_with_the_numbers(engine: Engine) -> None:
    with pytest.raises(RefusedError, match="512") as caught:
        ask(engine, "weather " * 600)
    assert is_one_sentence(caught.value)
    assert ask(engine)


def test_an_adapter_whose_folder_is_gone_is_named(engine: Engine, tiny_llama: InstalledBase, tmp_path: Path) -> None:
    worn = make_adapter(tmp_path / "lost", tiny_llama, 5)
    assert ask(engine, adapter=worn) != ask(engine)
    shutil.rmtree(worn.folder)
    for call in (lambda: ask(engine, adapter=worn), lambda: engine.probe(worn)):
        with pytest.raises(NotFoundError, match="lost") as caught:
            call()
        assert is_one_sentence(caught.value)
    assert ask(engine)


def test_an_adapter_edited_after_it_was_chosen_is_refused(
    engine: Engine, tiny_llama: InstalledBase, tmp_path: Path
) -> None:
    worn = make_adapter(tmp_path / "mine", tiny_llama, 5)
    assert ask(engine, adapter=worn)
    other = make_adapter(tmp_path / "other", tiny_llama, 6)
    shutil.copy(other.folder / "adapter_model.safetensors", worn.folder / "adapter_model.safetensors")
    with pytest.raises(RefusedError, match="edited") as caught:
        ask(engine, adapter=worn)
    assert is_one_sentence(caught.value)


def test_an_adapter_for_another_base_is_refused(engine: Engine, tiny_opt: InstalledBase, tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as caught:
        ask(engine, adapter=make_adapter(tmp_path / "stranger", tiny_opt, 5))
    assert is_one_sentence(caught.value)


def test_count_tokens_grows_with_what_is_said(engine: Engine) -> None:
    assert 0 < engine.count_tokens(user("Hello")) < engine.count_tokens(user("Hello, who are you?"))


def test_an_answer_goes_on_where_it_ends(engine: Engine, adapters: list[Worn]) -> None:
    for adapter in (None, adapters[0]):
        whole = ask(engine, adapter=adapter)
        part = whole[: len(whole) // 2].rstrip() or "At 12 Harbour Street"  # the tiny base says line ends
        asked = (*user(QUESTION), Turn(Role.ASSISTANT, part))
        request = Request(asked, adapter, GREEDY, continues=True)
        *pieces, done = engine.generate(request)
        assert pieces
        assert isinstance(done, Finished)
        assert done.prompt_tokens == engine.count_tokens(asked, continues=True)
        if isinstance(engine, EchoEngine):
            assert part + text_of(iter(pieces)) == whole


def test_what_is_no_answer_cannot_go_on(engine: Engine) -> None:
    with pytest.raises(RefusedError, match="no answer to go on with") as caught:
        list(engine.generate(Request(user(QUESTION), None, GREEDY, continues=True)))
    assert is_one_sentence(caught.value)


def test_a_text_with_a_lone_surrogate_is_answered(engine: Engine) -> None:
    assert finish(engine.generate(Request(user("Hello \ud800 you"), None, GREEDY))).generated_tokens > 0


def test_a_probe_measures_what_an_adapter_changes(
    engine: Engine, adapters: list[Worn], tiny_llama: InstalledBase, tmp_path: Path
) -> None:
    found = engine.probe(adapters[0])
    total = len(tiny_llama.signature.modules)
    assert (found.finite, found.modules_matched, found.modules_total) == (True, total, total)
    assert found.effect > 0
    assert engine.probe(make_adapter(tmp_path / "nothing", tiny_llama, 5, strength=0.0)).effect == 0


@pytest.mark.parametrize("kind", [*KINDS, *REMOTE])
def test_after_close_every_call_says_that_the_engine_was_closed(
    kind: str,
    tiny_llama: InstalledBase,
    adapters: list[Worn],
    kept: Kept,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with ExitStack() as stack:
        engine = make(kind, tiny_llama, kept, tmp_path_factory, stack)
        engine.close()
    engine.close()
    calls = (
        engine.load,
        lambda: ask(engine),
        lambda: engine.probe(adapters[0]),
        lambda: engine.count_tokens(user("Hello")),
        lambda: list(engine.train(make_job(tmp_path))),
    )
    for call in calls:
        with pytest.raises(EngineError, match="closed") as caught:
            call()
        assert is_one_sentence(caught.value)
