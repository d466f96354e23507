"""What ``job.toml`` may say. Owns its keys and their kinds; never reads lessons and never writes one.

A job travels: what stands in it may come from anybody. Of its words only names become part of a path, and each is held
to what a name may be.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from typing import Any, get_args

from lora_chat.adapters.manifest import NAME_PATTERN, checked_name
from lora_chat.adapters.signature import BaseSignature
from lora_chat.errors import RefusedError, did_you_mean
from lora_chat.text import clean_line
from lora_chat.training.recipe import Effort, Recipe, Targets

SCHEMA = 1
HEADER = "job.toml"

_KINDS: dict[str, tuple[type, ...]] = {
    "schema": (int,),
    "name": (str,),
    "base": (str,),
    "source": (str,),
    "redacted": (int,),
    "dropped": (dict,),
    "private": (dict,),
    "kept": (dict,),
    "checkpoint_s": (int, float),
    "version": (str,),
    "after": (str,),
    "replayed": (int,),
    "dataset_sha256": (str,),
    "checks_of": (list,),
    "model": (dict,),
    "versions": (dict,),
    "recipe": (dict,),
}
_NEEDED = ("name", "base", "source", "redacted", "dropped", "recipe")
_COUNTS = ("dropped", "private", "kept")
_CHOICES = {"effort": get_args(Effort), "targets": get_args(Targets)}
_IN_WORDS = {int: "a whole number", float: "a number", str: "a text", dict: "a table", list: "a list"}


class NewerJob(ValueError):
    """It was written by a program that knows more."""


@dataclass(frozen=True)
class Model:
    """The base that a job is for, as one machine tells another: by what it is, not by where it lies."""

    lineage: str
    """Such as ``HuggingFaceTB/SmolLM2-135M-Instruct``."""
    fingerprint: str
    """Of module shapes and tokenizer: what must fit."""
    weights: str
    """Of the weight files of the machine that wrote the job: others are told, not refused."""
    chat_template: str
    """Of how conversations are written: must be the same, or other tokens would be learnt."""

    @classmethod
    def of(cls, signature: BaseSignature) -> Model:
        """That of a base that is here."""
        return cls(**{each.name: getattr(signature, each.name) for each in fields(cls)})


def read_header(text: str) -> dict[str, Any]:
    """What a ``job.toml`` says, each key known and of its kind.

    Raises:
        NewerJob: its form is a later one.
        ValueError: it is none, saying what is wrong.
    """
    found = tomllib.loads(text)
    schema = found.get("schema", SCHEMA)
    if type(schema) is int and schema > SCHEMA:
        raise NewerJob(f"it is written in form {schema:,}, and this program knows {SCHEMA}")
    _check_keys(found, _KINDS, "")
    for key in _NEEDED:
        if key not in found:
            raise ValueError(f'it has no "{key}"')
    for key, value in found.items():
        _check_kind(key, value, _KINDS[key])
    for table in _COUNTS:
        for key, value in found.get(table, {}).items():
            _check_kind(f"{table}.{clean_line(key, 40)}", value, (int,))
    _check_names(found)
    _check_keys(found["recipe"], {each.name for each in fields(Recipe)}, "recipe.")
    for each in fields(Recipe):
        if each.name in found["recipe"]:
            _check_value(each.name, found["recipe"][each.name], str(each.type))
    if "model" in found:
        _check_keys(found["model"], {each.name for each in fields(Model)}, "model.")
        for key, value in found["model"].items():
            _check_kind(f"model.{key}", value, (str,))
    return found


def _check_keys(found: dict[str, Any], known: dict[str, tuple[type, ...]] | set[str], where: str) -> None:
    for key in found:
        if key not in known:
            shown = clean_line(key, 40)
            raise ValueError(f'it has "{where}{shown}", which no job has{did_you_mean(shown, known)}')


def _check_kind(key: str, value: object, kinds: tuple[type, ...]) -> None:
    if type(value) not in kinds:  # nor is true a number
        raise ValueError(f"{key} must be {_IN_WORDS[kinds[-1]]}")
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise ValueError(f"{key} must be a finite number")


def _check_value(name: str, value: object, kind: str) -> None:
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise ValueError(f"recipe.{name} must be one of {', '.join(_CHOICES[name])}")
    else:
        _check_kind(f"recipe.{name}", value, (int,) if kind == "int" else (int, float))


def _check_names(found: dict[str, Any]) -> None:
    """All that becomes part of a path."""
    checks_of = found.get("checks_of", ["", ""])
    if len(checks_of) != 2 or not all(isinstance(each, str) for each in checks_of):
        raise ValueError("checks_of must be an adapter and its version")
    try:
        for name in (found["name"], *filter(None, checks_of[:1])):
            checked_name(name)
    except RefusedError as error:
        raise ValueError(str(error).rstrip(".")) from error
    for key, number in (("version", found.get("version")), ("after", found.get("after")), ("checks_of", checks_of[1])):
        if number and not (NAME_PATTERN.fullmatch(number) and ".." not in number):
            raise ValueError(f'{key} must be a version as 1.0.0, not "{clean_line(number, 40)}"')
