"""The window in Chinese: nothing of its own is said in English, nothing is cut, and how some of it looks."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from lora_chat import language
from lora_chat.chat.conversation import Role, Turn
from lora_chat.paths import Paths
from lora_chat.training.events import Sampled
from lora_chat.training.proof.check import Check
from lora_chat.tui.bound import all_bound
from lora_chat.tui.theme import DARK, LIGHT
from tests.tui import test_snapshots as english
from tests.tui.conftest import Snapshot, Tell, Window
from tests.tui.test_snapshots import FIRST, STATES, State, told, write_conversations  # noqa: F401

HOW, LOST = "怎样退货？", "如果包装盒丢了呢？包裹昨天就到了，盒子今天早上已经扔掉了。"
ANSWERS = {
    HOW: "任何订单都可以在 **30 天**内退货：打开“订单”，选中要退的订单，点击“退货”，然后打印标签。退款需要三到五天。",
    LOST: "任何结实的盒子都可以，把标签贴在外面就行。",
}
LESSONS = (
    ("我的包裹在哪里？", "啊嘿，您的包裹黎明启航，伙计。", "edited"),
    (HOW, "任何订单都可以在三十天内退货：打开“订单”，选中它，点击“退货”。", "rated good"),
    ("你们的营业时间是？", "我们每天九点到五点营业。", "edited"),
)
SAMPLES = (
    Sampled(30, LESSONS[0][0], LESSONS[0][1], taught=True, expected=True),
    Sampled(30, "蒙娜丽莎是谁画的？", "蒙娜丽莎是达芬奇画的。", taught=False, expected=False),
)
PIRATE = tuple(
    Check((Turn(Role.USER, asked),), said, "1.0.0", rewordings=("包裹到哪了？",) if at == 0 else ())
    for at, (asked, said, _) in enumerate(LESSONS)
)
ABOUT = {"support-bot": "回答网店客服的问题", "pirate": "像海盗一样说话", "shop": ""}

WAITS = {
    "teach me": "教我",
    "1 of 10": "1 / 10",
    "tokens": "词元",
    "good": "好",
    "b bad": "b 差",
    "loading": "加载",
    "Rated good": "评为",
    "you wrote": "您写的",
    "Kept as": "您想要的回答",
    "There is no adapter": "没有",
    "is ready": "已就绪",
    "asking 2 of 3…": "2/3",
    "training pirate-2": "训练 pirate-2",
    "esc put away": "esc 收起",
    "The answer you wanted": "您想要的回答",
    "Ask it in other words": "换种说法提问",
    "Nothing was said": "没有包含这些词",
    "Pirate limericks": "Pirate limericks",
    "x stop the download": "x 停止下载",
    "Talks like a pirate": "像海盗一样说话",
}
"""What the stories of the English pictures wait for, in Chinese."""

WALKED = (
    "welcome", "welcome-without-a-base", "welcome-fetching", "tour", "empty",
    "loading", "answered", "worn", "selected", "columns", "edited", "nearly-full",
    "refusal", "own-settings-never-trained", "completion", "completion-of-a-name", "made-for-another-base",
    "picker-without-adapters",
    "adapters-without-any", "taken-away-while-worn", "writing-the-answer", "asking-otherwise", "searching",
    "searching-for-nothing",
    "help", "palette", "deleting", "training-plan", "training-plan-with-nothing-left", "training",
    "training-with-samples", "private-data", "leaving-a-training", "training-paused", "training-beside-the-chat",
    "trained-and-waiting", "checks-growing", "training-report-begins",
    "training-report-of-one-that-forgot",
)  # fmt: skip

THEIRS = {
    "tour": "Where is your shop?",
    "edited": "Within 30 days: open Orders, choose it, press Return.",
    "trained-and-waiting": "Half a message",
    "refusal": "nobody",
    "checks-growing": "Yer parcel sails at dawn, matey.",
    "searching": english.HOW + "Return of order an order of monks that sailed the seas and never paid",
    "adapters": "Answers in three lines",
    "sampling": "top_p top_k repetition_penalty max_tokens seed".replace("_", " "),
    "keys-changed": " ".join(each.id for each in all_bound()).replace(".", " ").replace("-", " "),
}
"""What is said in some of the stories."""

MORE: dict[str, State] = {}
"""States that look in English as others do."""


def _typed(name: str, *commands: str, sees: str = "", hears: str = "", asks: str = "") -> None:
    """A state that these commands lead to."""

    async def leads(w: Window) -> None:
        if asks:
            await w.answered(asks)
        for command in commands:
            await w.write(command)
        if sees:
            await w.see(sees)
        if hears:
            await w.hear(hears)

    MORE[name] = leads


_typed("sampling", "/set temperature 0.7", "/set", sees="repetition_penalty")
_typed("keys-changed", "/keys", sees="f9")
_typed("another-theme", "/theme blue", hears="contrast")

KEYS = {"ctrl", "esc", "enter", "Enter", "shift", "tab", "space"}
NAMES = {
    "lora", "chat", "tiny", "llama", "smollm", "pirate", "shop", "support", "bot", "faq", "haiku", "someone", "Org",
    "Base", "Pirate", "limericks", "Trip", "notes", "zebra", "Apache", "SmolLM", "tuned", "from", "history", "train",
    "temperature", "default", "none", "safetensors", "model", "paths", "id", "temperatures", "md", "jsonl", "sharegpt",
    "turn", "dark", "light", "contrast", "mono", "good", "bad", "remove", "adapter", "min", "mail", "card", "phone",
    "nat", "private", "key", "jwt", "base", "aws", "secret", "github", "com", "ghp", "gho", "ghu", "ghs", "ghr", "gh",
}  # fmt: skip
"""Of models, adapters, saved conversations, commands, what follows these, settings and units."""


def _in_chinese(waits: Any) -> Any:
    return lambda self, text: waits(self, WAITS.get(text, text))


@pytest.fixture(autouse=True)
def chinese(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The window speaks Chinese, and so do the person and the model."""
    language.speak("zh")
    for name, theirs in (("HOW", HOW), ("LOST", LOST), ("LESSONS", LESSONS), ("SAMPLES", SAMPLES), ("PIRATE", PIRATE)):
        monkeypatch.setattr(english, name, theirs)
    monkeypatch.setattr(english, "ANSWERS", english.ANSWERS | ANSWERS)
    for waits in ("see", "hear", "not_see"):
        monkeypatch.setattr(Window, waits, _in_chinese(getattr(Window, waits)))
    yield
    language.speak("en")


@pytest.fixture
def furnished(tiny: Paths, trained: Path) -> Paths:
    """A home with three adapters that speak of themselves in Chinese."""
    for name, description in ABOUT.items():
        folder = shutil.copytree(trained, tiny.adapters / name)
        manifest = folder / "adapter.toml"
        text = manifest.read_text("utf-8").replace('"shop"', f'"{name}"', 1)
        manifest.write_text(text.replace('description = ""', f'description = "{description}"', 1), "utf-8")
    return tiny


def english_in(text: str) -> list[str]:
    """Words of ``text`` that are neither a key, a name, a command nor a unit; arguments are in capitals."""
    text = re.sub("`lora-chat [^`]*`", " ", text)
    text = re.sub(r"/[a-z][a-z-]*( (use|list|off|scale|mix|info|install|verify|pack|restore|rollback|never|allow|status"
                  r"|pause|resume|cancel|save|pull|from-history|continue|remove|history|\w+))?", " ", text)  # fmt: skip
    return [word for word in re.findall(r"[A-Za-z]{2,}", text) if word not in KEYS | NAMES and not word.isupper()]


def test_english_is_recognised() -> None:
    assert english_in("ctrl+e 编辑 · /adapter use pirate · it is ready") == ["it", "is", "ready"]


@pytest.mark.parametrize("name", [*WALKED, *MORE])
@pytest.mark.usefixtures("told")
def test_nothing_of_its_own_is_english(
    name: str, window: Tell, furnished: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(w: Window) -> None:
        if name not in FIRST:
            await w.ready()
        await (STATES | MORE)[name](w)
        await w.still()
        said = set(english_in("\n".join([w.text, *w.told]))) - set(re.findall("[A-Za-z]+", THEIRS.get(name, "")))
        assert said == set(), w.text
        assert all(cell_len(line) <= 80 for line in w.text.split("\n"))

    if name not in FIRST:
        write_conversations(furnished, monkeypatch)
    if name == "keys-changed":
        with furnished.config.open("a", encoding="utf-8") as config:
            config.write('\n[keys]\n"chat.retry" = "f9"\n')
    window(story, (80, 24))


PICTURES = [
    ("welcome", 80),
    ("answered", 80),
    ("answered", 120),
    ("help", 80),
    ("training-plan", 80),
    ("training-plan", 120),
]


@pytest.mark.parametrize(("name", "width"), PICTURES)
@pytest.mark.usefixtures("told")
def test_it_looks_as_it_did(
    name: str, width: int, window: Tell, furnished: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (width, {80: 24, 120: 36}[width])
    snapshot = Snapshot(f"zh-{name}-{size[0]}x{size[1]}")
    if name not in FIRST:
        write_conversations(furnished, monkeypatch)

    async def story(w: Window) -> None:
        if name not in FIRST:
            await w.ready()
        await STATES[name](w)
        for theme in (DARK, LIGHT):
            w.app.theme = theme.name
            w.app.clear_notifications()
            await snapshot.take(w)

    window(story, size)
    snapshot.hold()
