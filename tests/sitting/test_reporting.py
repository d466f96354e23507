"""A report saved as files: where they go, how they are called, and that nothing is written over."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from lora_chat.errors import NotFoundError, RefusedError
from lora_chat.paths import Paths, make_private
from lora_chat.sitting.reporting import save_report
from lora_chat.training.report.markdown import to_markdown
from lora_chat.training.report.picture import to_svg
from lora_chat.training.report.shelf import keep_report
from tests.training.report.examples import record


def test_both_forms_lie_next_to_each_other_and_never_over_another(
    home: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_report(make_private(home.lines / "shop"), record())
    place = tmp_path / "mine"
    place.mkdir()
    monkeypatch.chdir(place)
    said = save_report("shop", "1.1.0", home)
    assert said == f"Saved as {place}/shop-1.1.0-report.md and .svg: your own words, readable by you alone."
    (place / "shop-1.1.0-report.md").unlink()
    save_report("shop", "1.1.0", home)
    files = sorted(place.iterdir())
    assert [each.name for each in files] == [
        "shop-1.1.0-report-2.md",
        "shop-1.1.0-report-2.svg",
        "shop-1.1.0-report.svg",
    ]
    assert files[0].read_text("utf-8") == to_markdown(record())
    assert files[1].read_text("utf-8") == to_svg(record())
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}


def test_what_cannot_be_saved_is_refused(home: Paths, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"No report of shop 1\.1\.0 is kept"):
        save_report("shop", "1.1.0", home)
    keep_report(make_private(home.lines / "shop"), record())
    with pytest.raises(RefusedError, match="choose another place"):
        save_report("shop", "1.1.0", home, tmp_path / "none")
