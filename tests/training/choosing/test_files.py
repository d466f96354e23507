"""Every kind of file that examples come in, and what is said of one that cannot be read."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from lora_chat.errors import LoraChatError, NotFoundError, RefusedError
from lora_chat.training.choosing import rows as reading
from lora_chat.training.selection import Selection, select_from_file

Written = Callable[[str, str | bytes], Path]

PAIRS = [{"prompt": "Who are you?", "response": "A model."}, {"prompt": "Where?", "response": 'Here,\nin "this" file.'}]
MESSAGES = [
    [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["response"]}] for row in PAIRS
]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(name: str, data: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return write


def said(selection: Selection) -> list[list[str]]:
    return [[turn.content for turn in lesson.messages] for lesson in selection.lessons]


def sources(selection: Selection) -> list[str]:
    return [lesson.source for lesson in selection.lessons]


def table(path: Path, rows: Sequence[Sequence[str]], delimiter: str = ",", encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def refused(path: Path, kind: type[LoraChatError] = RefusedError) -> str:
    with pytest.raises(kind) as caught:
        select_from_file(path)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    assert len(sentence) < 700
    return sentence.replace(str(path), path.name)


# Kinds


EXPECTED = [[row["prompt"], row["response"]] for row in PAIRS]


@pytest.mark.parametrize("name", ["faq.json", "faq.jsonl", "faq.txt", "faq"])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_list_in_json_whatever_the_file_is_called(written: Written, name: str, indent: int | None) -> None:
    found = select_from_file(written(name, json.dumps(PAIRS, indent=indent)))
    assert said(found) == EXPECTED
    assert sources(found) == ["item 1", "item 2"]


@pytest.mark.parametrize("indent", [None, 2])
def test_one_object_in_json(written: Written, indent: int | None) -> None:
    found = select_from_file(written("one.json", json.dumps({"messages": MESSAGES[1]}, indent=indent)))
    assert said(found) == EXPECTED[1:]


def test_json_lines_in_a_file_called_json_or_csv(written: Written) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in PAIRS)
    for name in ("faq.json", "faq.csv", "faq.parquet"):
        assert said(select_from_file(written(name, lines))) == EXPECTED


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("a.csv", ";"), ("a.tsv", "\t"), ("a.txt", "|")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("columns", [("prompt", "response"), ("Question", " ANSWER "), ("instruction", "output")])
def test_a_table_with_known_columns(
    tmp_path: Path, name: str, delimiter: str, encoding: str, columns: tuple[str, str]
) -> None:
    rows = [(*columns, "id"), *((row["prompt"], row["response"], "1") for row in PAIRS)]
    found = select_from_file(table(tmp_path / name, rows, delimiter, encoding))
    assert said(found) == EXPECTED
    assert sources(found) == ["row 1", "row 2"]


def test_a_table_with_an_input_beside_the_instruction_and_one_with_messages_in_its_cells(tmp_path: Path) -> None:
    alpaca = table(tmp_path / "a.csv", [("output", "input", "instruction"), ("Hello", "Bonjour", "Translate.")])
    assert said(select_from_file(alpaca)) == [["Translate.\n\nBonjour", "Hello"]]
    messages = table(tmp_path / "m.csv", [["messages"], *([json.dumps(each)] for each in MESSAGES)])
    assert said(select_from_file(messages)) == EXPECTED


@pytest.mark.parametrize(
    "columns",
    [
        {"prompt": [row["prompt"] for row in PAIRS], "response": [row["response"] for row in PAIRS], "id": [1, 2]},
        {"Question": [row["prompt"] for row in PAIRS], "Answer": [row["response"] for row in PAIRS]},
        {"messages": MESSAGES},
        {"messages": [json.dumps(each) for each in MESSAGES]},
    ],
)
def test_parquet(tmp_path: Path, columns: dict[str, Any]) -> None:
    path = tmp_path / "faq.csv"  # what it holds decides
    parquet.write_table(pyarrow.table(columns), path, row_group_size=1)
    found = select_from_file(path)
    assert said(found) == EXPECTED
    assert sources(found) == ["row 1", "row 2"]


def test_text_parts_as_openai_writes_them_are_text(written: Written) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    row = {"messages": [{"role": "developer", "content": "s"}, {"role": "user", "content": parts}, MESSAGES[0][1]]}
    assert said(select_from_file(written("a.jsonl", json.dumps(row)))) == [["s", "a\nb", "A model."]]


def test_what_was_kept_out_of_training_where_it_was_exported_stays_out(written: Written) -> None:
    rows = [{"messages": MESSAGES[0], "never_train": True}, {"messages": MESSAGES[1]}]
    found = select_from_file(written("a.json", json.dumps(rows)))
    assert (said(found), found.dropped) == (EXPECTED[1:], {"never to be trained on": 1})
    assert "1 never to be trained on" in refused(written("b.json", json.dumps(rows[:1])))


def test_a_file_is_taken_as_given_twice_and_alike(written: Written) -> None:
    found = select_from_file(written("a.json", json.dumps([PAIRS[0], PAIRS[0], {**PAIRS[0], "response": "a model"}])))
    assert (found.examples, found.dropped) == (3, {})


# Private data


def test_private_data_in_a_file_is_counted_and_stays_unless_masking_is_asked_for(written: Written) -> None:
    row = {"prompt": "How do I reach you?", "response": "Write to help@example.org or call +44 20 7946 0958."}
    path = written("a.jsonl", json.dumps(row))
    found = select_from_file(path)
    assert said(found) == [[row["prompt"], row["response"]]]
    assert (found.redacted, found.kept) == (0, {"e-mail": 1, "phone": 1})
    masked = select_from_file(path, mask=True)
    assert said(masked)[0][1] == "Write to [E-MAIL] or call [PHONE]."
    assert (masked.redacted, masked.private) == (2, {"e-mail": 1, "phone": 1})
    some = select_from_file(path, mask=True, keep={"e-mail"})
    assert said(some)[0][1] == "Write to help@example.org or call [PHONE]."
    assert (some.private, some.kept) == ({"phone": 1}, {"e-mail": 1})
    [kept] = [each for each in some.hits if not each.hit.masked]
    assert (kept.source, kept.message, kept.hit.shown) == ("line 1", 1, "h…@e….org")


# What cannot be read


GOOD = json.dumps(PAIRS[0])


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.json", "[" + GOOD + ", 1]", "Item 2 of a.json has none of the known forms: it is not an object"),
        ("a.json", '[{"prompt": "q"}]', "Item 1 of a.json has none of the known forms"),
        ("a.json", '{"prompt": "q",\n "response": }', "a.json is not JSON"),
        ("a.json", "[" * 50_000, "a.json is not JSON"),
        ("a.json", '{"a":' * 50_000, "a.json is not JSON"),
        ("a.jsonl", GOOD + "\n" + '{"a":' * 50_000, "Line 2 of a.jsonl is not JSON"),
        ("a.jsonl", '{"prompt": "q"\n' + GOOD, "Line 1 of a.jsonl is not JSON"),
        ("a.json", '[{"prompt": "q", "response": "a", "prompt": "b"}]', 'a.json has "prompt" twice in one object'),
        ("a.jsonl", GOOD + '\n{"x": {"y": 1, "y": 2}}', 'Line 2 of a.jsonl has "y" twice in one object'),
        ("a.jsonl", GOOD + "\n" + GOOD.replace("A model.", "x" * 1_000_001), "Line 2 of a.jsonl is longer than"),
        ("a.json", "[" + GOOD.replace("A model.", "x" * 1_000_001) + "]", "Item 1 of a.json is longer than"),
        ("a.json", '[{"messages": [{"role": "tool", "content": "x"}]}]', 'Item 1 of a.json .* the role "tool"'),
        ("a.json", '[{"messages": [{"content": "x"}]}]', 'message 1 has the role "None"'),
        ("a.json", "[]", "a.json holds no examples"),
        ("a.csv", "prompt,response\n", "a.csv holds no examples"),
        ("a.csv", "prompt,response\nq,a\nq\n", r"Row 2 \(line 3\) of a.csv has 1 cells and the first line names 2"),
        ("a.csv", 'prompt,response\n"two\nlines",a\n\nq,a,b\n', r"Row 2 \(line 5\) of a.csv has 3 cells"),
        ("a.csv", 'prompt,response\nq,a\nq,"never closed\n', "begins in line 3 of a.csv cannot be read"),
        ("a.csv", "prompt,response\nq,a\nq,\n", r"Row 2 \(line 3\) of a.csv has no answer to a question"),
        ("a.csv", "prompt,response\nq," + "x" * 200_000, "begins in line 2 of a.csv cannot be read"),
        ("a.csv", "prompt,prompt,response\nq,q,a\n", 'a.csv has the column "prompt" twice'),
        ("a.csv", "city,country\nParis,France\n", "a.csv names no known columns"),
        ("a.csv", "", "a.csv holds no examples"),
        ("a.csv", 'messages\n"[1"\n', r'The "messages" of row 1 \(line 2\) of a.csv is not JSON'),
        ("a.txt", "just some words\n", "Line 1 of a.txt is not JSON"),
        ("a.csv", "prompt,response\nq,a\n".encode("utf-16"), "a.csv is in UTF-16: save it in UTF-8"),
        ("a.csv", b"prompt,response\nq,caf\xe9\n", "Line 2 of a.csv is not in UTF-8"),
        ("a.jsonl", GOOD.encode() + b"\n\0\n", "Line 2 of a.jsonl holds a NUL"),
        ("a.csv", b"PK\x03\x04xlsx", "a.csv is a spreadsheet or an archive"),
        ("a.jsonl", b"\x1f\x8b\x08\0", "a.jsonl is compressed"),
        ("a.json", b"SQLite format 3\0", "a.json is a database"),
        ("a.parquet", b"PAR1" + b"\0" * 100 + b"PAR1", "a.parquet is a damaged Parquet file"),
    ],
)  # fmt: skip
def test_one_bad_row_is_named_and_nothing_is_taken(written: Written, name: str, data: str | bytes, says: str) -> None:
    assert re.search(says, refused(written(name, data)))


def test_a_bad_row_of_parquet_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"prompt": ["q", "q", None], "response": ["a", "a", "a"]}), path)
    assert refused(path).startswith("Row 3 of a.parquet has none of the known forms")
    parquet.write_table(pyarrow.table({"city": ["Paris"]}), path)
    assert "a.parquet has no known columns" in refused(path)
    parquet.write_table(pyarrow.table({"prompt": ["q"], "response": pyarrow.array([1])}), path)
    assert refused(path).startswith("Row 1 of a.parquet has none of the known forms")


@pytest.mark.parametrize("cut", [8, 40, 200])
def test_a_parquet_file_that_was_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"prompt": ["q"] * 100, "response": ["a"] * 100}), path)
    path.write_bytes(path.read_bytes()[:-cut])
    assert "damaged Parquet file" in refused(path)


def test_a_file_that_unpacks_to_too_much_has_too_many_rows_or_bytes_is_refused_with_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: Written
) -> None:
    monkeypatch.setattr("lora_chat.training.choosing.parquet.LARGEST_CONTENT", 50)
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"prompt": ["q"] * 100, "response": ["a" * 100] * 100}), path)
    assert "at most 50 are read" in refused(path)
    monkeypatch.setattr(reading, "MOST_ROWS", 2)
    assert "has more than 2 rows" in refused(written("a.jsonl", (GOOD + "\n") * 3))
    assert select_from_file(written("a.jsonl", (GOOD + "\n") * 2)).examples == 2
    monkeypatch.setattr(reading, "LARGEST_FILE", 10)
    assert "bytes and at most 10 are read" in refused(written("a.jsonl", GOOD))


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    assert "is not a file" in refused(tmp_path)
    assert "There is no file" in refused(tmp_path / "missing.csv", NotFoundError)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\n;\tpromtesn \\0', max_size=80).map(str.encode))
def test_any_bytes_are_lessons_or_one_sentence(tmp_path: Path, data: bytes) -> None:
    for name in ("a.jsonl", "a.json", "a.csv", "a.parquet"):
        (tmp_path / name).write_bytes(data)
        try:
            outcome = str(select_from_file(tmp_path / name).examples)
        except RefusedError as error:
            outcome = str(error)
        assert outcome != "0"
        assert "\n" not in outcome


def test_no_copy_of_a_person_s_text_is_left_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "cache"))
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"prompt": ["q"], "response": ["a"]}), path)
    select_from_file(path)
    assert [each.name for each in tmp_path.iterdir()] == ["a.parquet"]
