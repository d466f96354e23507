"""An adapter in a zip or a tar. Owns its form and which of its files are written out; never checks the adapter.

The archive is opened once and read forwards, every member of it: a damaged one is refused, whatever is damaged. Only
what an adapter consists of reaches the disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from lora_chat.adapters.incoming.contents import LIMITS, MODEL_CONFIG_NAME, PICKLE_NAME, TEXTS, listed
from lora_chat.adapters.incoming.inflating import Inflate, gunzipped, plain, unxzed
from lora_chat.adapters.incoming.members import PIECE, Cost, Member
from lora_chat.adapters.incoming.tarred import BLOCK, is_tar, read_tar
from lora_chat.adapters.incoming.zipped import read_zip
from lora_chat.adapters.peft_config import CONFIG_NAME
from lora_chat.adapters.reading import opened_file, refusal, shown
from lora_chat.adapters.weights import WEIGHTS_NAME

Name = tuple[str, ...]
"""A member's, in parts."""

_PICKLE = "a pickle can run code when loaded; save the adapter as safetensors and install its folder"
_OTHER_KIND = "archives of this kind are not supported; pack it as .zip or .tar.gz, or install the unpacked folder"
_OTHER_MAGICS = {
    b"Rar!": _OTHER_KIND, b"7z\xbc\xaf": _OTHER_KIND, b"BZh": _OTHER_KIND, b"\x28\xb5\x2f\xfd": _OTHER_KIND,
    b"\x80\x02": _PICKLE, b"\x80\x04": _PICKLE,
    b"GGUF": "GGUF adapters cannot be worn; install the PEFT folder it was made from",
}  # fmt: skip
_OTHER_SUFFIXES = {
    **dict.fromkeys((".zip", ".tar", ".tgz", ".gz", ".xz", ".txz"), "it is no archive, whatever its name says; fetch "
                    "it again"),
    **dict.fromkeys((".rar", ".7z", ".bz2", ".zst"), _OTHER_KIND),
    **dict.fromkeys((".bin", ".pt", ".pth", ".ckpt", ".pkl"), _PICKLE),
    ".gguf": _OTHER_MAGICS[b"GGUF"],
    ".safetensors": "one file is not an adapter; install the folder that also holds adapter_config.json",
}  # fmt: skip
_TELLING = (CONFIG_NAME, WEIGHTS_NAME, PICKLE_NAME)
"""A folder with one of these was meant as an adapter."""


def unpack(path: Path, folder: Path) -> tuple[str, ...]:
    """Write the one adapter in the archive ``path`` into ``folder``; return the names of what was left out.

    Read twice, first for the names: which of an archive's folders holds the adapter is known only at its end.

    Raises:
        NotFoundError: there is no such file.
        RefusedError: it is no archive of a known kind, hostile, damaged, or holds none or several adapters.
        OSError: the disk failed.
    """
    with opened_file(path) as file:
        names = [member.parts for member in _members(file, path) if not member.is_folder]
        own = _own_folder(names, path)
        taken = {name for member in _members(file, path) if (name := _put(member, own, folder, path))}
    inside = (parts[len(own)] for parts in names if parts[: len(own)] == own)
    outside = ("/".join(parts) for parts in names if parts[: len(own)] != own)
    return listed(name for name in (*inside, *outside) if name not in taken)


def _members(file: BinaryIO, path: Path) -> Iterator[Member]:
    """By its content: what a file is called proves nothing."""
    file.seek(0)
    head = file.read(BLOCK)
    file.seek(0)
    cost = Cost(path)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return read_zip(file, path, cost)
    if head.startswith(b"\x1f\x8b"):
        return _tar_members(file, path, cost, gunzipped)
    if head.startswith(b"\xfd7zXZ\0"):
        return _tar_members(file, path, cost, unxzed)
    if len(head) == BLOCK and is_tar(head):
        return _tar_members(file, path, cost, plain)
    why = next((why for magic, why in _OTHER_MAGICS.items() if head.startswith(magic)), None)
    otherwise = "it is neither a folder nor an archive; install the folder that holds the adapter"
    raise refusal(path, why or _OTHER_SUFFIXES.get(path.suffix.lower(), otherwise))


def _tar_members(file: BinaryIO, path: Path, cost: Cost, inflate: Inflate) -> Iterator[Member]:
    packed = (cost.packed(piece) for piece in iter(partial(file.read, PIECE), b""))
    return read_tar((cost.unpacked(piece) for piece in inflate(packed, path)), path, cost)


def _own_folder(names: list[Name], where: Path) -> Name:
    """The folder of the one adapter; what lies below it (a trainer's checkpoints) belongs to it."""
    found = _topmost(names, _TELLING) or _topmost(names, (MODEL_CONFIG_NAME,))
    if len(found) > 1:
        two = " and ".join(f'"{shown("/".join(each), 60)}"' for each in found[:2])
        raise refusal(where, f"it holds {len(found)} adapters, {two}; pack each by itself")
    if not found and any(parts[-1] == "data.pkl" for parts in names):
        raise refusal(where, _PICKLE)
    if not found:
        raise refusal(where, f"it holds no adapter; take one that has {CONFIG_NAME} and {WEIGHTS_NAME}")
    return found[0]


def _topmost(names: list[Name], telling: tuple[str, ...]) -> list[Name]:
    """The folders that hold one of ``telling``, without those below another one."""
    holding = {parts[:-1] for parts in names if parts[-1] in telling}
    return sorted(each for each in holding if not any(each[:depth] in holding for depth in range(len(each))))


def _put(member: Member, own: Name, folder: Path, where: Path) -> str:
    """Write a member that is one of the adapter's files, else read past it; the name of what was written."""
    name = member.parts[-1] if member.parts[:-1] == own and not member.is_folder else ""
    if name in (PICKLE_NAME, MODEL_CONFIG_NAME):  # that it is there is all one needs to know
        (folder / name).touch(mode=0o600)
    if name not in LIMITS or (name in TEXTS and member.size > LIMITS[name]):
        for _ in member.pieces:
            pass
        return ""
    if member.size > LIMITS[name]:
        raise refusal(where, f'"{name}" in it has {member.size:,} bytes where at most {LIMITS[name]:,} are accepted; '
                             "take another adapter")  # fmt: skip
    with (folder / name).open("xb") as file:
        for piece in member.pieces:
            file.write(piece)
    return name
