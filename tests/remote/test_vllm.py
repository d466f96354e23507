"""Adapters on vLLM: brought, proved, shared, taken back; and each of its refusals as one sentence."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lora_chat.adapters.weights import read_adapter
from lora_chat.chat.conversation import Role, Turn
from lora_chat.engine.protocol import Finished, Request, Sampling, TextChunk, Worn
from lora_chat.errors import EngineError, LoraChatError, NotFoundError, RefusedError, TrainingError
from lora_chat.models.installed import InstalledBase
from tests.engine.conftest import GREEDY, QUESTION, ask, finish, is_one_sentence, make_adapter, make_job, user
from tests.remote.conftest import Opened
from tests.remote.fake_model import WINDOW
from tests.remote.fake_server import MODEL, FakeServer
from tests.remote.faults import says, stalls
from tests.remote.loading import part

CHAT, LOAD, UNLOAD = "/v1/chat/completions", "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
Serve = Callable[..., FakeServer]


def answered(server: FakeServer) -> list[dict[str, Any]]:
    """The replies that were asked for, without the proofs."""
    return [body for body in server.sent(CHAT) if body["stream"]]


def test_an_adapter_is_brought_once_under_the_name_of_its_content(
    serve: Serve, opened: Opened, adapters: list[Worn]
) -> None:
    server = serve()
    engine = opened(server)
    assert ask(engine, adapter=adapters[0]) == ask(engine, adapter=adapters[0]) != ask(engine)
    [loaded] = server.sent(LOAD)
    assert loaded["lora_path"] == str(adapters[0].folder)
    assert loaded["lora_name"].startswith("lora-chat-red-")
    assert len(loaded["lora_name"]) == len("lora-chat-red-") + 12
    assert [body["model"] for body in answered(server)] == [loaded["lora_name"]] * 2 + [MODEL]
    engine.close()
    assert server.sent(UNLOAD) == [{"lora_name": loaded["lora_name"]}]
    assert server.loaded == {}


def test_a_changed_adapter_is_another_one(
    serve: Serve, opened: Opened, tiny_llama: InstalledBase, tmp_path: Path
) -> None:
    server = serve()
    engine = opened(server)
    first = make_adapter(tmp_path / "mine", tiny_llama, 5)
    said = ask(engine, adapter=first)
    shutil.rmtree(first.folder)
    second = make_adapter(tmp_path / "mine", tiny_llama, 6)
    assert ask(engine, adapter=second) != said
    one, other = (each["lora_name"] for each in server.sent(LOAD))
    assert one != other


def test_a_server_that_lies_about_an_adapter_answers_nothing(
    serve: Serve, opened: Opened, adapters: list[Worn]
) -> None:
    server = serve(lies=True)
    engine = opened(server)
    for call in (lambda: ask(engine, adapter=adapters[0]), lambda: engine.probe(adapters[0])):
        with pytest.raises(EngineError, match=r'"red".* as the base without it .*vllm#34186') as caught:
            call()
        assert is_one_sentence(caught.value)
    assert answered(server) == []
    assert server.loaded == {}, "what is not worn is taken back"
    assert ask(engine)


def test_a_busy_server_that_lies_is_found_out_although_no_two_answers_are_alike(
    serve: Serve, opened: Opened, adapters: list[Worn], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part("proof"), "_NOISE", 20.0)  # of the fake's, which is as often large as small
    with pytest.raises(EngineError, match="34186"):
        ask(opened(serve(lies=True, noise=1e-3)), adapter=adapters[0])
    assert ask(opened(serve(noise=1e-3)), adapter=adapters[0])


def test_an_adapter_that_changes_nothing_is_worn_all_the_same(
    serve: Serve, opened: Opened, tiny_llama: InstalledBase, tmp_path: Path
) -> None:
    engine = opened(serve())
    nothing = make_adapter(tmp_path / "nothing", tiny_llama, 5, strength=0.0)
    assert ask(engine, adapter=nothing) == ask(engine)
    assert engine.probe(nothing).effect == 0


def test_without_scores_nothing_is_proved_and_nothing_answered(
    serve: Serve, opened: Opened, adapters: list[Worn]
) -> None:
    server = serve()
    server.instead(CHAT, says(400, '{"error": {"message": "Requested sample logprobs of 5 is greater than max"}}'))
    with pytest.raises(EngineError, match="cannot be proved: allow logprobs") as caught:
        ask(opened(server), adapter=adapters[0])
    assert is_one_sentence(caught.value)
    assert server.loaded == {}


def test_another_strength_and_a_mixture_are_sent_as_what_they_come_to(
    serve: Serve, opened: Opened, adapters: list[Worn], tmp_path: Path
) -> None:
    server = serve()
    engine = opened(server, copies=str(tmp_path / "copies"))
    red, green, _ = adapters
    both = replace(red, scale=0.5, beside=(replace(green, scale=-0.25),))
    assert len({ask(engine), ask(engine, adapter=red), ask(engine, adapter=both)}) == 3
    path = Path(server.sent(LOAD)[-1]["lora_path"])
    assert path.parent == tmp_path / "copies"
    copy = read_adapter(path)
    for name, module in copy.layout.modules.items():
        parts = []
        for worn in both.all:
            files = read_adapter(worn.folder)
            own = files.layout.modules[name]
            parts.append(files.numbers(own.b) @ files.numbers(own.a) * own.scaling * worn.scale)
        found = copy.numbers(module.b) @ copy.numbers(module.a) * module.scaling
        np.testing.assert_allclose(found, sum(parts), rtol=1e-4, atol=1e-5)
    engine.close()
    assert list((tmp_path / "copies").iterdir()) == []


def test_what_vllm_would_scale_wrongly_is_sent_as_a_plain_copy(
    serve: Serve, opened: Opened, adapters: list[Worn], tiny_llama: InstalledBase, tmp_path: Path
) -> None:
    shutil.copytree(adapters[0].folder, tmp_path / "uneven")
    config = json.loads((tmp_path / "uneven" / "adapter_config.json").read_text(encoding="utf-8"))
    config["alpha_pattern"] = {next(iter(tiny_llama.signature.modules)): 1}
    (tmp_path / "uneven" / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    server = serve()
    ask(opened(server), adapter=replace(adapters[0], name="uneven", folder=tmp_path / "uneven"))
    [sent] = server.sent(LOAD)
    assert sent["lora_path"] != str(tmp_path / "uneven")
    assert not json.loads(Path(sent["lora_path"], "adapter_config.json").read_text(encoding="utf-8")).get(
        "alpha_pattern"
    )


def test_scale_0_asks_the_base_and_brings_nothing(serve: Serve, opened: Opened, adapters: list[Worn]) -> None:
    server = serve()
    ask(opened(server), adapter=replace(adapters[0], scale=0.0))
    assert server.sent(LOAD) == []


def test_a_scale_that_is_none_is_refused(serve: Serve, opened: Opened, adapters: list[Worn]) -> None:
    with pytest.raises(RefusedError, match="scale"):
        ask(opened(serve()), adapter=replace(adapters[0], scale=float("nan")))


def test_a_server_that_was_started_again_is_brought_what_it_lost(
    serve: Serve, opened: Opened, adapters: list[Worn]
) -> None:
    server = serve()
    engine = opened(server)
    said = ask(engine, adapter=adapters[0])
    server.loaded.clear()
    assert ask(engine, adapter=adapters[0]) == said
    assert len(server.sent(LOAD)) == 2


def test_a_server_that_forgets_at_once_is_asked_twice_and_not_for_ever(
    serve: Serve, opened: Opened, adapters: list[Worn]
) -> None:
    server = serve()
    engine = opened(server)
    ask(engine, adapter=adapters[0])
    missing = says(404, '{"error": {"message": "The model `x` does not exist."}}')
    proof = [lambda talk, body: talk.chat(body)] * 3
    server.instead(CHAT, missing, *proof, missing)
    server.loaded.clear()
    with pytest.raises(NotFoundError):
        ask(engine, adapter=adapters[0])


def test_the_one_worn_longest_ago_makes_room(serve: Serve, opened: Opened, adapters: list[Worn]) -> None:
    server = serve()
    engine = opened(server, max_loaded=2)
    red, green, blue = adapters
    for each in (red, green, red, blue):
        ask(engine, adapter=each)
    assert sorted(name.split("-")[2] for name in server.loaded) == ["blue", "red"]
    assert ask(engine, adapter=green) != ask(engine)


def test_what_is_being_worn_makes_no_room(serve: Serve, opened: Opened, adapters: list[Worn]) -> None:
    server = serve()
    engine = opened(server, max_loaded=1)
    running = engine.generate(Request(user(QUESTION), adapters[0], GREEDY))
    next(running)
    ask(engine, adapter=adapters[1])
    assert len(server.loaded) == 2
    assert finish(running).reason == "length"
    ask(engine, adapter=adapters[2])
    assert [name.split("-")[2] for name in server.loaded] == ["blue"]


def test_what_another_program_brought_is_used_and_left(serve: Serve, opened: Opened, adapters: list[Worn]) -> None:
    server = serve()
    first, second = opened(server), opened(server)
    said = ask(first, adapter=adapters[0])
    assert ask(second, adapter=adapters[0]) == said
    second.close()
    assert len(server.loaded) == 1
    assert ask(first, adapter=adapters[0]) == said


def test_the_servers_own_path_is_sent_where_it_sees_the_folder_elsewhere(
    serve: Serve, opened: Opened, adapters: list[Worn]
) -> None:
    server = serve()
    where = {str(adapters[0].folder.parent): "/mnt/adapters/", "/": "/wrong"}
    with pytest.raises(NotFoundError, match=r'"red" is not seen .* at /mnt/adapters/red: .*adapters_at') as caught:
        ask(opened(server, adapters_at=where), adapter=adapters[0])
    assert is_one_sentence(caught.value)
    assert server.sent(LOAD)[0]["lora_path"] == "/mnt/adapters/red"


def test_a_rank_that_is_too_high_is_told_with_both_numbers(serve: Serve, opened: Opened, adapters: list[Worn]) -> None:
    with pytest.raises(RefusedError, match=r'"red" is too high .*rank 4 .*max_lora_rank 2.*--max-lora-rank') as caught:
        ask(opened(serve(max_rank=2)), adapter=adapters[0])
    assert is_one_sentence(caught.value)


@pytest.mark.parametrize(
    ("refusal", "kind", "words"),
    [
        ((404, '{"detail": "Not Found"}'), EngineError, "--enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"),
        ((400, '{"message": "LoRA is not enabled."}'), EngineError, "--enable-lora"),
        (
            (500, '{"error": {"message": "expected target modules in [\'qkv\'] but received [\'c_attn\']"}}'),
            RefusedError,
            "base that the adapter .* was made for is not",
        ),
        ((500, "shape mismatch: 64 vs 128"), RefusedError, "base that the adapter .* was made for is not"),
        ((500, "\x1b]0;evil\x07 who\nknows"), RefusedError, r"500: \]0;evil who knows.*log"),
        ((500, ""), RefusedError, "without a word why"),
    ],
)
def test_each_refusal_of_an_adapter_is_one_sentence(
    serve: Serve, opened: Opened, adapters: list[Worn], refusal: tuple[int, str], kind: type[LoraChatError], words: str
) -> None:
    server = serve()
    server.instead(LOAD, says(refusal[0], refusal[1], "text/plain"))
    engine = opened(server)
    with pytest.raises(kind, match=words) as caught:
        ask(engine, adapter=adapters[0])
    assert is_one_sentence(caught.value)
    assert "\x1b" not in str(caught.value)
    assert ask(engine, adapter=adapters[0])


def test_a_cancel_is_heard_while_an_adapter_is_brought(serve: Serve, opened: Opened, adapters: list[Worn]) -> None:
    server, cancel, came = serve(), threading.Event(), threading.Event()

    def slow(talk: Any, body: dict[str, Any]) -> None:
        came.set()
        stalls(talk, body)

    server.instead(LOAD, slow)
    engine = opened(server)
    engine.load()
    request = Request(user(QUESTION), adapters[0], GREEDY)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: finish(engine.generate(request, cancel)))
        assert came.wait(30)
        waiting = pool.submit(lambda: finish(engine.generate(replace(request, adapter=adapters[1]), cancel)))
        cancel.set()
        assert first.result(10).reason == waiting.result(10).reason == "cancelled"
    server.over.set()
    name = server.sent(LOAD)[0]["lora_name"]
    server.loaded[name] = str(adapters[0].folder)  # it went on loading
    ask(engine, adapter=adapters[0])
    engine.close()
    assert server.loaded == {}, "also what was given up is taken back"


def test_three_adapters_stream_at_once(serve: Serve, opened: Opened, adapters: list[Worn]) -> None:
    engine = opened(serve())
    alone = [ask(engine, adapter=each) for each in adapters]
    running = [engine.generate(Request(user(QUESTION), each, GREEDY)) for each in adapters]
    said = ["", "", ""]
    for _ in range(GREEDY.max_tokens):  # in turns: none waits for another's end
        for at, chunks in enumerate(running):
            chunk = next(chunks)
            assert isinstance(chunk, TextChunk)
            said[at] += chunk.text
    assert said == alone
    assert all(isinstance(next(chunks), Finished) for chunks in running)


def test_reading_ahead_brings_the_adapter_and_asks_for_no_words(
    serve: Serve, opened: Opened, adapters: list[Worn]
) -> None:
    server = serve()
    engine = opened(server)
    with pytest.raises(EngineError, match="not asked yet"):
        engine.prepare(user(QUESTION), adapters[0])
    assert server.asked == []
    engine.load()
    assert engine.is_running
    assert engine.prepare(user(QUESTION), adapters[0]) == engine.count_tokens(user(QUESTION))
    assert len(server.sent(LOAD)) == 1
    assert answered(server) == []
    ask(engine, adapter=adapters[0])
    assert len(server.sent(LOAD)) == 1


def test_an_answer_that_might_not_fit_behind_the_prompt_is_asked_shorter(serve: Serve, opened: Opened) -> None:
    server = serve()
    engine = opened(server)
    done = finish(engine.generate(Request(user("word " * 400), None, replace(GREEDY, max_tokens=500))))
    assert [body["max_tokens"] for body in answered(server)] == [500, WINDOW - done.prompt_tokens]
    assert (done.reason, done.prompt_tokens + done.generated_tokens) == ("length", WINDOW)


def test_every_setting_of_sampling_is_said(serve: Serve, opened: Opened) -> None:
    server = serve()
    engine = opened(server)
    ask(engine, sampling=Sampling(0.7, 0.0, 40, 1.3, 9, 11, ("END", "")))
    ask(engine, sampling=replace(GREEDY, seed=1))
    first, second = answered(server)
    said = ("temperature", "top_p", "top_k", "repetition_penalty", "max_tokens", "seed", "stop", "min_p")
    assert [first[name] for name in said] == [0.7, 1e-6, 40, 1.3, 9, 11, ["END"], 0.0]
    assert second["top_k"] == -1
    assert "stop" not in second


def test_the_servers_figures_are_told_also_of_a_cancelled_reply(serve: Serve, opened: Opened) -> None:
    engine, cancel = opened(serve()), threading.Event()
    whole = finish(engine.generate(Request(user(QUESTION), None, GREEDY)))
    assert (whole.prompt_tokens, whole.cached_tokens, whole.generated_tokens) == (21, 2, 24)
    chunks = engine.generate(Request(user(QUESTION), None, GREEDY), cancel)
    next(chunks)
    cancel.set()
    done = finish(chunks)
    assert (done.reason, done.prompt_tokens, done.cached_tokens) == ("cancelled", 21, 2)
    assert done.generated_tokens >= 1


def test_an_answer_that_had_ended_goes_on_with_a_word(serve: Serve, opened: Opened) -> None:
    server = serve()
    turns = (*user("Hello"), Turn(Role.ASSISTANT, "Hi."))
    finish(opened(server).generate(Request(turns, None, GREEDY, continues=True, past_end=True)))
    [body] = answered(server)
    assert body["min_tokens"] == 1
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)


def test_the_model_is_chosen_by_name_and_its_adapters_are_no_bases(
    serve: Serve, opened: Opened, adapters: list[Worn]
) -> None:
    server = serve()
    server.loaded["given"] = str(adapters[0].folder)
    engine: Any = opened(server)
    assert engine.load().name == MODEL
    assert engine.listed == ("given",)
    given: Any = opened(server, model="given")
    assert (given.load().name, given.load().context_window) == ("given", WINDOW)
    assert ask(given) == ask(engine, adapter=adapters[0])
    with pytest.raises(NotFoundError, match='no model "tiny-lama"; did you mean tiny-llama') as caught:
        opened(server, model="tiny-lama").load()
    assert is_one_sentence(caught.value)


def test_several_models_and_none_named_is_asked_about(serve: Serve, opened: Opened) -> None:
    server = serve()
    server.instead("/v1/models", says(200, json.dumps({"data": [{"id": "a"}, {"id": "b\x1b[1m"}]})))
    with pytest.raises(RefusedError, match=r"has 2 models \(a, b\[1m\).*model") as caught:
        opened(server).load()
    assert is_one_sentence(caught.value)


def test_an_address_in_front_of_it_that_counts_nothing_is_counted_for(serve: Serve, opened: Opened) -> None:
    server = serve()
    server.instead("/tokenize", says(404, "nothing here", "text/plain"))
    engine = opened(server)
    assert engine.count_tokens(user("twelve bytes")) == 4 + 8 + 3
    assert engine.count_tokens(user("Hello")) == 4, "the next is asked again"


def test_training_is_refused(serve: Serve, opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="trains nothing") as caught:
        list(opened(serve()).train(make_job(tmp_path)))
    assert is_one_sentence(caught.value)


def test_an_adapter_is_checked_without_the_base_as_far_as_it_goes(
    serve: Serve, adapters: list[Worn], tiny_llama: InstalledBase, tmp_path: Path
) -> None:
    from tests.remote.loading import plugin

    engine = plugin().open_engine({"url": serve().url}, None, {})
    assert ask(engine, adapter=adapters[0]) != ask(engine)
    assert engine.probe(adapters[0]).modules_matched == len(tiny_llama.signature.modules)
    with pytest.raises(RefusedError, match="edited"):
        ask(engine, adapter=replace(adapters[0], sha256="0" * 64))
    with pytest.raises(NotFoundError, match="gone"):
        ask(engine, adapter=replace(adapters[0], folder=tmp_path / "nowhere"))
    engine.close()
