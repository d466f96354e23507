"""The language of the command line: refusals are the person's, what programs read is English."""

from __future__ import annotations

import io
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len

from lora_chat import language
from lora_chat.cli.result import Beside, table
from tests.cli.conftest import Run
from tests.training.report.examples import record


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    yield
    language.speak("en")


def test_a_refusal_of_the_command_line_is_chinese_and_its_code_the_same(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_english = run("adapter", "info", "nothere")
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    refused = run("adapter", "info", "nothere")
    assert refused.code == in_english.code == 3
    assert in_english.err.startswith('lora-chat: There is no adapter called "nothere"')
    assert refused.err.startswith("lora-chat: 没有名为“nothere”的适配器：")


def test_json_stays_english(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    (tmp_path / "folder").mkdir()
    done = run("adapter", "verify", tmp_path / "folder", "--json")
    assert json.loads(done.out)["reason"].startswith("Cannot use ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("adapter", "info"), "缺少参数“name”。请试试 --help。"),
        (("adapter", "list", "--zzz"), "没有选项 --zzz。请试试 --help。"),
        (("nothing",), "没有命令“nothing”。请试试 --help。"),
        (("train", "from-history"), "请指明适配器的名称：--name NAME。"),
        (("preset", "show", "zz"), "没有名为“zz”的预设：`lora-chat preset list`，或聊天中的 /preset，列出全部。"),
        (("model", "info", "qwen9"), "“qwen9”既不是目录中的基础模型"),
    ],
)
def test_what_is_refused_says_why_in_chinese(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    refused = run(*words)
    assert refused.code != 0
    assert refused.err.startswith(f"lora-chat: {said}")


def test_what_the_server_refuses_before_it_begins_is_chinese() -> None:
    from lora_chat.errors import LoraChatError
    from lora_chat.serve.guard import check_key, listen

    language.speak("zh")
    with pytest.raises(LoraChatError) as keyless:
        check_key("0.0.0.0", None)
    assert language.tr(str(keyless.value)).startswith("任何能访问 0.0.0.0 的人都可以使用这个服务器：")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(LoraChatError) as busy:
        listen("127.0.0.1", taken.getsockname()[1])
    assert re.fullmatch(
        "无法监听 127.0.0.1 的端口 [0-9]+（地址已被占用）：请结束占用它的程序，或用 --port 另选一个。",
        language.tr(str(busy.value)),
    )


@pytest.mark.parametrize(("key", "agreed"), [("y", True), ("是", True), ("n", False), ("否", False), ("", False)])
def test_a_question_is_chinese_and_its_keys_are_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: str, agreed: bool
) -> None:
    from lora_chat.cli import console

    language.speak("zh")
    monkeypatch.setattr(console, "is_interactive", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{key}\n"))
    assert console.confirm("Remove the adapter one from /a/b?", yes=False, loses=True) is agreed
    assert capsys.readouterr().err == "从 /a/b 移除适配器 one 吗？ [y/N] "


SAID = (
    "/set", "/theme blue", "/keys", "/model list", "/model info qwen3-0.6b", "/adapter list", "/context",
    "/preset list", "/train status", "/search zzz", "/report nobody", "/check nobody", "/nothing",
)  # fmt: skip
THEIRS = re.compile(
    r"`lora-chat [^`]*`|/[a-z][a-z-]*( [a-z-]+)?|[A-Z]+\b|[a-z_]+_[a-z_]+|[A-Za-z-]+[0-9][\w.-]*|"
    r"\b(temperature|seed|dark|light|contrast|mono|default|tiny|llama|lora-chat|phi|mini|KL|ChatML|Apache|Qwen)\b"
)
"""Names, commands, settings and units."""


def _english_in(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z]{2,}", THEIRS.sub(" ", re.sub("“[^”]*”", " ", text))))


@pytest.mark.usefixtures("tiny", "says")
def test_the_line_chat_is_chinese(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    done = run("--plain", stdin="\n".join(SAID) + "\n")
    for line in [*done.out.splitlines(), *done.err.splitlines()]:
        assert _english_in(line) == set(), line


def test_a_report_is_chinese_and_stands_in_columns() -> None:
    language.speak("zh")
    told = list(table(record(), Beside(("1.0.0",)), language.tr))
    found = [re.match("  (.*?)  +([0-9]+ 中的 .*?)  +([0-9]+ 中的 .*)", line) for line in told]
    rows = [each for each in found if each is not None]
    assert [each[1] for each in rows] == ["按所学答对", "换种说法答对", "在相近问题上误触发", "在无关问题上误触发"]
    for cell in (2, 3):
        assert len({cell_len(each.string[: each.start(cell)]) for each in rows}) == 1
