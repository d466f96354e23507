"""How a half-written ``@name`` could go on, in any folder however large, broken or hostile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lora_chat.sitting import filenames
from lora_chat.sitting.attaching import attach
from lora_chat.sitting.completion import MOST
from lora_chat.sitting.filenames import begun, files_like


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "here"
    for name in ("notes.md", "Notes-old.md", ".hidden", "src/app.py", "src/deep/approach.txt", "my folder/my file.txt"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x", encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))


def lines(half: str) -> list[str]:
    return [each.line for each in files_like(half)]


@pytest.mark.parametrize(
    ("line", "half"),
    [
        ("@", "@"),
        ("Read @no", "@no"),
        ("(@src/ap", "@src/ap"),
        ('Read @"my fi', '@"my fi'),
        ("me@no", None),
        ("@notes.md ", None),
        ('@"my file.txt" ', None),
        ("Read", None),
    ],
)
def test_where_a_name_is_being_written(line: str, half: str | None) -> None:
    assert begun(line) == half


def test_a_folder_goes_on_and_behind_a_file_is_a_space() -> None:
    assert lines("@no") == ["@notes.md ", "@Notes-old.md "]
    assert lines("@sr") == ["@src/"]
    assert lines("@src/") == ["@src/app.py ", "@src/deep/"]
    assert lines("@./src/a") == ["@./src/app.py "]
    assert lines("@../he") == ["@../here/"]
    assert lines("@~/here/no") == ["@~/here/notes.md ", "@~/here/Notes-old.md "]
    assert lines("@~") == ["@~/here/"]
    assert lines(f"@{Path.cwd()}/no")[0] == f"@{Path.cwd()}/notes.md "
    assert [each.help for each in files_like("@sr")] == ["folder"]
    assert [each.help for each in files_like("@no")] == ["1 byte", "1 byte"]


def test_names_with_spaces_are_quoted_and_can_be_sent_as_they_are_completed() -> None:
    assert lines("@my") == ['@"my folder/']
    assert lines('@"my folder/') == ['@"my folder/my file.txt" ']
    assert lines('@"no') == ['@"notes.md" ', '@"Notes-old.md" ']
    assert "my file.txt" in attach('@"my folder/my file.txt" ')


def test_hidden_ones_come_with_their_dot_and_a_whole_name_has_no_others() -> None:
    assert ".hidden" not in "".join(lines("@"))
    assert lines("@.h") == ["@.hidden "]
    assert lines("@notes.md") == []
    assert lines("@zzz") == lines("@nowhere/x") == lines("@notes.md/x") == []


def test_one_below_is_found_by_its_own_name() -> None:
    assert lines("@app") == ["@src/app.py ", "@src/deep/approach.txt "]
    assert lines("@a") == []


@pytest.mark.skipif(os.name != "posix", reason="POSIX")
def test_what_is_no_file_and_what_cannot_be_written_is_left_out() -> None:
    os.mkfifo("odd-pipe")
    Path("odd-circle").symlink_to("odd-circle")
    Path("odd-dangling").symlink_to("nowhere")
    for name in ("odd\x1b[31m", "odd\nline", 'odd"quote', "odd\u202ename", "odd  spaces"):
        Path(name).write_text("x", encoding="utf-8")
    Path(os.fsdecode(b"odd\xff")).write_text("x", encoding="utf-8")
    Path("odd").mkdir()
    Path("odd/locked").mkdir(mode=0)
    assert lines("@odd") == ["@odd/"]
    assert lines("@odd/locked/") == []


def test_a_huge_folder_is_looked_into_as_far_as_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("many").mkdir()
    for number in range(50):
        Path("many", f"f{number:02}").touch()
    assert len(lines("@many/f")) == MOST
    monkeypatch.setattr(filenames, "LOOKED_AT", 3)
    assert len(lines("@many/f")) == 3
    monkeypatch.setattr(filenames, "BELOW", 2)
    assert lines("@f4") == []
