"""``lora-chat ask``: one answer, its flags, its JSON, and what it keeps."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from lora_chat.chat.store import Store
from lora_chat.paths import Paths
from lora_chat.services import Services
from tests.adapters.conftest import write_adapter
from tests.cli.conftest import Kept, Run

KEYS = [
    "text", "adapter", "scale", "model", "finish_reason", "prompt_tokens", "cached_tokens", "generated_tokens",
    "left_out", "first_token_ms", "tokens_per_second", "seed", "conversation", "message",
]  # fmt: skip
"""The contract of interface.md, the seed that was drawn, and what no longer fitted in the context."""

LIVELY = ("-t", "1.5", "--seed", "3", "--max-tokens", "12")
"""The tiny Llama's greedy answers are blank: with these it says something, always the same."""


def test_the_answer_goes_to_stdout_and_nothing_else_does(run: Run, tiny: Paths, kept: Kept) -> None:
    done = run("ask", "Who are you?", "--seed", "1")
    assert (done.code, done.err) == (0, "")
    asked, answered = kept.branch()
    assert asked.content == "Who are you?"
    assert done.out == answered.content + "\n"


def test_json_has_the_promised_keys_and_honest_figures(run: Run, tiny: Paths, kept: Kept) -> None:
    facts = run("ask", "Who are you?", "--json", *LIVELY, "--max-tokens", "5").json
    assert list(facts) == KEYS
    reply = kept.branch()[-1]
    assert (facts["conversation"], facts["message"]) == (reply.conversation, reply.id)
    assert facts["text"] == reply.content
    assert (facts["adapter"], facts["scale"], facts["model"]) == (None, None, "tiny-llama")
    assert (facts["finish_reason"], facts["generated_tokens"], facts["cached_tokens"]) == ("length", 5, 0)
    assert facts["prompt_tokens"] > 3
    assert facts["first_token_ms"] > 0
    assert facts["tokens_per_second"] > 0


def test_a_question_may_come_through_a_pipe(run: Run, tiny: Paths, kept: Kept) -> None:
    assert run("ask", stdin="Who are you?\n").code == 0
    assert kept.branch()[0].content == "Who are you?"


def test_what_comes_through_a_pipe_follows_the_argument(run: Run, tiny: Paths, kept: Kept) -> None:
    assert run("ask", "Sum this up:", stdin="One line.\nAnother.\n").code == 0
    assert kept.branch()[0].content == "Sum this up:\n\nOne line.\nAnother."


def test_a_file_s_name_is_a_word_here_a_shell_has_its_own_way(
    run: Run, tiny: Paths, kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.md").write_text("Eggs", encoding="utf-8")
    assert run("ask", "What is in @notes.md, and in @no/such.md?").code == 0
    assert kept.branch()[0].content == "What is in @notes.md, and in @no/such.md?"


def test_a_conversation_s_own_sampling_holds_and_a_flag_comes_before_it(run: Run, tiny: Paths, kept: Kept) -> None:
    first = run("ask", "Who are you?", "--json", *LIVELY).json
    with Store.open(tiny.database) as store:
        store.update_conversation(first["conversation"], sampling='{"max_tokens": 2, "temperature": 1.5, "seed": 3}')
    more = ["-c", first["conversation"], "--json"]
    own = run("ask", "And?", *more).json
    assert (own["generated_tokens"], own["finish_reason"], own["seed"]) == (2, "length", 3)
    assert run("ask", "And?", *more, "--max-tokens", "4").json["generated_tokens"] == 4
    assert run("ask", "And?", *more, "--no-save").json["generated_tokens"] == 2


@pytest.mark.parametrize("words", [[], [""], ["  \n"], ["\x1b\x07\u202e"]])
def test_no_question_is_a_usage_error_that_shows_one(run: Run, tiny: Paths, words: list[str], kept: Kept) -> None:
    done = run("ask", *words)
    assert done.code == 2
    assert 'lora-chat ask "' in done.sentence
    assert not kept.conversations


def test_bytes_that_are_not_utf8_are_read_all_the_same(run: Run, tiny: Paths, kept: Kept) -> None:
    assert run("ask", stdin=b"caf\xe9?").code == 0
    assert kept.branch()[0].content == "caf\ufffd?"


def test_the_same_seed_gives_the_same_answer_and_another_seed_another(run: Run, tiny: Paths) -> None:
    def answered(*more: str) -> str:
        return str(run("ask", "Hello", "-t", "1.5", "--json", *more).json["text"])

    assert answered("--seed", "7") == answered("--seed", "7")
    assert len({answered("--seed", str(seed)) for seed in range(4)}) > 1


def test_the_seed_that_was_drawn_repeats_the_answer(run: Run, tiny: Paths) -> None:
    first = run("ask", "Hello", "-t", "1.5", "--json").json
    again = run("ask", "Hello", "-t", "1.5", "--json", "--seed", str(first["seed"])).json
    assert (again["text"], again["seed"]) == (first["text"], first["seed"])


def test_temperature_zero_needs_no_seed_to_be_the_same(run: Run, tiny: Paths) -> None:
    assert run("ask", "Hello", "-t", "0").out == run("ask", "Hello", "-t", "0").out


def test_max_tokens_bounds_the_answer(run: Run, tiny: Paths) -> None:
    assert run("ask", "Hello", "--json", *LIVELY, "--max-tokens", "3").json["generated_tokens"] == 3


def test_the_answer_ends_before_a_stop_string(run: Run, tiny: Paths) -> None:
    whole = run("ask", "Hello", "--json", *LIVELY).json["text"]
    stop = whole[4:6]
    facts = run("ask", "Hello", "--json", *LIVELY, "--stop", "@@never@@", "--stop", stop).json
    assert facts["finish_reason"] == "stop"
    assert facts["text"]
    assert facts["text"] == whole[: whole.index(stop)].strip()


def test_greedy_and_top_k_one_and_top_p_zero_agree(run: Run, tiny: Paths) -> None:
    def answered(*flags: str) -> str:
        return str(run("ask", "Hello", "--repetition-penalty", "3", *flags).out.strip())

    greedy = answered("-t", "0")
    assert len(greedy) > 5
    assert answered("-t", "1", "--top-k", "1") == greedy
    assert answered("-t", "1", "--top-p", "0") == greedy
    assert answered("-t", "1.5", "--seed", "3") != greedy
    assert run("ask", "Hello", "-t", "0").out.strip() != greedy


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--temperature", "-1"),
        ("--temperature", "nan"),
        ("--top-p", "1.5"),
        ("--top-k", "-1"),
        ("--repetition-penalty", "0"),
        ("--max-tokens", "0"),
        ("--seed", "-1"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(
    run: Run, tiny: Paths, flag: str, value: str, kept: Kept
) -> None:
    done = run("ask", "Hello", f"{flag}={value}")
    assert done.code == 4
    assert re.search(r"must lie between .* and ", done.sentence)
    assert done.out == ""
    assert not kept.conversations


def test_a_value_that_is_no_number_is_a_usage_error(run: Run, tiny: Paths) -> None:
    done = run("ask", "Hello", "--temperature", "warm")
    assert done.code == 2
    assert "temperature" in done.sentence


def test_the_system_prompt_is_kept_and_changes_the_prompt(run: Run, tiny: Paths, kept: Kept) -> None:
    bare = run("ask", "Hello", "--json").json
    told = run("ask", "Hello", "--json", "--system", "You sell shoes.").json
    assert told["prompt_tokens"] > bare["prompt_tokens"]
    assert kept.conversations[0].system == "You sell shoes."


# Conversations


def test_a_conversation_goes_on_with_all_that_was_said(run: Run, tiny: Paths, kept: Kept) -> None:
    first = run("ask", "Hello", "--json", "--system", "You sell shoes.", *LIVELY).json
    second = run("ask", "Who are you?", "--json", "-c", first["conversation"][:4]).json
    assert second["conversation"] == first["conversation"]
    alone = run("ask", "Who are you?", "--json", "--no-save", "--system", "You sell shoes.").json
    assert second["prompt_tokens"] > alone["prompt_tokens"] + len("Hello")
    assert first["text"]
    said = [(message.role, message.content) for message in kept.branch(first["conversation"])]
    assert [role for role, _ in said] == ["user", "assistant", "user", "assistant"]
    assert said[2][1] == "Who are you?"
    assert len(kept.conversations) == 1


def test_a_wrong_conversation_is_not_found(run: Run, tiny: Paths) -> None:
    run("ask", "Hello")
    done = run("ask", "Hello", "-c", "zzzz")
    assert done.code == 3
    assert "lora-chat history list" in done.sentence


def test_no_save_leaves_no_database(run: Run, tiny: Paths, kept: Kept) -> None:
    facts = run("ask", "Hello", "--no-save", "--json", *LIVELY).json
    assert (facts["conversation"], facts["message"]) == (None, None)
    assert facts["text"]
    assert not tiny.database.exists()


def test_no_save_on_a_saved_conversation_reads_it_and_leaves_it_alone(run: Run, tiny: Paths, kept: Kept) -> None:
    first = run("ask", "Hello", "--json", *LIVELY).json
    before = kept.branch()
    second = run("ask", "And?", "--json", "--no-save", "-c", first["conversation"]).json
    alone = run("ask", "And?", "--json", "--no-save").json
    assert second["prompt_tokens"] > alone["prompt_tokens"] + len("Hello")
    assert kept.branch() == before


def test_what_no_longer_fits_is_counted_and_told_once(run: Run, tiny: Paths, says: dict[str, str], kept: Kept) -> None:
    """The scripted engine counts words: an exchange takes 154 of 512 tokens, and the fourth is too many."""
    question = " ".join(["word"] * 140)
    first = run("ask", question, "--json")
    more = ["-c", first.json["conversation"]]
    second, third, fourth = (run("ask", question, "--json", *more) for _ in range(3))
    assert [done.json["left_out"] for done in (first, second, third, fourth)] == [0, 0, 0, 4]
    assert [done.err.count("no longer read") for done in (first, second, third, fourth)] == [0, 0, 0, 1]
    assert "The context was full: the 4 oldest messages are no longer read." in fourth.err
    unsaved = run("ask", "short", "--json", "--no-save", *more)
    fifth = run("ask", "short", *more)
    assert (unsaved.json["left_out"], unsaved.err.count("no longer read")) == (4, 0)
    assert fifth.err.count("no longer read") == 0
    assert fifth.out == "short\n"
    assert kept.branch()[-1].context_start == kept.branch()[4].id


def test_a_message_too_long_for_the_window_is_refused_and_not_kept(
    run: Run, tiny: Paths, says: dict[str, str], kept: Kept
) -> None:
    done = run("ask", " ".join(["word"] * 600))
    assert done.code != 0
    assert "601 tokens" in done.sentence
    assert "512" in done.sentence
    assert kept.conversations == []


# Adapters


def test_an_adapter_is_worn_at_its_scale(run: Run, worn: str, kept: Kept) -> None:
    def asked(wish: str) -> str:
        done = run("ask", "Hello", "--json", "-a", wish, *LIVELY)
        assert done.json["adapter"] == "shop"
        return str(done.json["text"])

    base = run("ask", "Hello", "--json", *LIVELY).json["text"]
    assert asked("shop=16") != base
    assert asked("shop=0") == base
    assert run("ask", "Hello", "--json", "-a", "shop=0.5").json["scale"] == 0.5
    reply = kept.branch()[-1]
    assert (reply.adapter, reply.scale) == ("shop", 0.5)
    assert len(reply.adapter_sha256 or "") == 64


def test_one_made_for_another_base_is_told_of_and_one_of_another_shape_refused_before_a_model_is_loaded(
    run: Run, worn: str, tiny: Paths, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = tiny.adapters / "shop"
    (shop / "adapter.toml").write_text('[base]\nmodel = "other/Model"\n')
    done = run("ask", "Hello", "-a", "shop")
    assert (done.code, "made for other/Model" in done.err, "other/Model" in done.out) == (0, True, False)
    write_adapter(tiny.adapters / "strange")
    monkeypatch.setattr(Services, "engine_here", lambda *_: pytest.fail("a model was loaded"))
    refusal = run("ask", "Hello", "-a", "strange")
    assert (refusal.code, "does not fit" in refusal.sentence) == (4, True)
    assert "its shapes fit" not in refusal.err


def test_a_conversation_whose_adapter_is_gone_says_how_the_base_goes_on(run: Run, worn: str, tiny: Paths) -> None:
    first = run("ask", "Hello", "--json", "-a", "shop").json
    shutil.rmtree(tiny.adapters / "shop")
    gone = run("ask", "Hello", "-c", first["conversation"])
    assert gone.code == 3
    assert f"conversation {first['conversation']} wears shop, which is no longer installed" in gone.err
    assert run("ask", "Hello", "--json", "-c", first["conversation"], "-a", "").json["adapter"] is None
    assert run("ask", "Hello", "--json", "-c", first["conversation"]).json["adapter"] is None


def test_a_conversation_goes_on_wearing_what_it_wore(run: Run, worn: str) -> None:
    first = run("ask", "Hello", "--json", "-a", "shop=0.5").json
    second = run("ask", "Hello", "--json", "-c", first["conversation"]).json
    assert (second["adapter"], second["scale"]) == ("shop", 0.5)


def test_an_unknown_adapter_is_not_found_and_the_nearest_is_named(run: Run, worn: str) -> None:
    done = run("ask", "Hello", "-a", "shopp")
    assert done.code == 3
    assert "did you mean shop?" in done.sentence


@pytest.mark.parametrize("scale", ["", "much", "nan", "inf", "-inf", "1e300", "16.1"])
def test_a_scale_that_is_none_is_refused(run: Run, worn: str, scale: str) -> None:
    done = run("ask", "Hello", "-a", f"shop={scale}", "--json")
    assert done.code == 4
    assert "write shop=0.8" in done.sentence
    assert done.out == ""


def test_a_damaged_adapter_is_refused_before_anything_is_asked(run: Run, worn: str, tiny: Paths, kept: Kept) -> None:
    weights = tiny.adapters / "shop" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    done = run("ask", "Hello", "-a", "shop")
    assert done.code == 4
    assert "shop" in done.sentence
    assert not kept.conversations


def test_an_adapter_edited_after_its_training_is_refused(run: Run, worn: str, tiny: Paths) -> None:
    weights = tiny.adapters / "shop" / "adapter_model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    done = run("ask", "Hello", "-a", "shop")
    assert done.code == 4
    assert done.out == ""


# Harm


HARM = "red\x1b[31m \x1b]52;c;aGk=\x07clip \x9b2Jcsi \u202edeceived \U000e0041tag \x00nul"


@pytest.mark.parametrize("flags", [[], ["--json"], ["--no-save"], ["--no-save", "--json"]])
def test_nothing_a_model_says_reaches_the_terminal_raw(
    run: Run, tiny: Paths, says: dict[str, str], flags: list[str]
) -> None:
    says["Hello"] = HARM
    done = run("ask", "Hello", "-t", "0", *flags)
    assert "deceived" in done.out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\U000e0000-\U000e007f]", done.out)
    if "--json" in flags:
        assert not re.search("[\x1b\x9b\u202e]", done.json["text"])


def test_nothing_a_model_says_in_a_batch_reaches_the_terminal_raw(
    run: Run, tiny: Paths, says: dict[str, str], tmp_path: Path
) -> None:
    says["Hello"] = HARM
    (tmp_path / "b.jsonl").write_text('{"prompt": "Hello"}\n', encoding="utf-8")
    done = run("ask", "--batch", tmp_path / "b.jsonl", "-t", "0")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\U000e0000-\U000e007f]", done.out)
    assert done.json["text"] == "red[31m ]52;c;aGk=clip 2Jcsi deceived tag nul"


def test_control_tokens_in_a_question_are_only_text(run: Run, tiny: Paths) -> None:
    plain = run("ask", "abc", "--json").json["prompt_tokens"]
    token = run("ask", "abc<|im_end|>", "--json").json["prompt_tokens"]
    assert token - plain > 3


# Batch


def batch(path: Path, *rows: object) -> Path:
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def test_a_batch_answers_each_line_in_order_and_keeps_nothing(run: Run, worn: str, tmp_path: Path, kept: Kept) -> None:
    path = batch(
        tmp_path / "b.jsonl",
        {"prompt": "Hello"},
        {"prompt": "Hello", "adapter": "shop=16"},
        "",
        {"messages": [{"role": "user", "content": "Hello"}]},
        {"prompt": "Hello", "system": "You sell shoes.", "seed": 4},
    )
    done = run("ask", "--batch", path, *LIVELY)
    assert done.code == 0
    first, dressed, listed, told = done.events
    assert all(list(each) == KEYS for each in done.events)
    assert (first["adapter"], dressed["adapter"], dressed["scale"]) == (None, "shop", 16.0)
    assert first["text"] == listed["text"] == run("ask", "Hello", *LIVELY, "--no-save", "--json").json["text"]
    assert dressed["text"] != first["text"]
    assert told["prompt_tokens"] > first["prompt_tokens"]
    assert (first["seed"], told["seed"]) == (3, 4)
    assert first["conversation"] is None
    assert not kept.conversations


def test_a_batch_takes_its_flags_where_a_line_is_silent(run: Run, worn: str, tmp_path: Path) -> None:
    path = batch(tmp_path / "b.jsonl", {"prompt": "Hello"}, {"prompt": "Hello", "seed": 5, "adapter": None})
    first, second = run("ask", "--batch", path, "-a", "shop=0.5", "--seed", "9").events
    assert (first["adapter"], first["scale"], first["seed"]) == ("shop", 0.5, 9)
    assert (second["adapter"], second["seed"]) == (None, 5)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ("{not json", 4),
        ("[" * 100_000, 4),
        ("[1]", 4),
        ({"question": "Hello"}, 4),
        ({"prompt": ""}, 4),
        ({"prompt": "\x1b"}, 4),
        ({"prompt": 7}, 4),
        ({"messages": []}, 4),
        ({"messages": [{"role": "wizard", "content": "x"}]}, 4),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}, 4),
        ({"prompt": "x", "seed": "1"}, 4),
        ({"prompt": "x", "seed": True}, 4),
        ({"prompt": "x", "seed": -1}, 4),
        ({"prompt": "x", "system": 1}, 4),
        ({"prompt": "x", "adapter": ["a"]}, 4),
        ({"prompt": "x", "adapter": "nobody"}, 3),
    ],
)
def test_a_bad_line_is_named_by_its_number_and_nothing_is_answered(
    run: Run, tiny: Paths, tmp_path: Path, bad: object, code: int
) -> None:
    done = run("ask", "--batch", batch(tmp_path / "b.jsonl", {"prompt": "Hello"}, bad))
    assert done.code == code
    assert "Line 2" in done.sentence
    assert done.out == ""


def test_a_line_too_long_for_the_model_is_named_by_its_number(run: Run, tiny: Paths, tmp_path: Path) -> None:
    done = run("ask", "--batch", batch(tmp_path / "b.jsonl", {"prompt": "Hello"}, {"prompt": "x " * 2000}))
    assert done.code == 4
    assert "Line 2" in done.sentence
    assert len(done.events) == 1


def test_a_batch_without_a_file_or_with_a_question_beside_it(run: Run, tiny: Paths, tmp_path: Path) -> None:
    assert run("ask", "--batch", tmp_path / "none.jsonl").code == 3
    assert run("ask", "--batch", tmp_path).code == 4
    assert run("ask", "--batch", batch(tmp_path / "empty.jsonl")).code == 4
    assert run("ask", "Hello", "--batch", batch(tmp_path / "b.jsonl", {"prompt": "x"})).code == 2
    (tmp_path / "latin.jsonl").write_bytes(b'{"prompt": "caf\xe9"}\n')
    assert "UTF-8" in run("ask", "--batch", tmp_path / "latin.jsonl").sentence


def test_a_question_longer_than_the_context_is_refused_with_numbers(run: Run, tiny: Paths) -> None:
    done = run("ask", "x " * 2000)
    assert done.code == 4
    assert "512" in done.sentence
