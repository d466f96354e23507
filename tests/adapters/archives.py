"""Archives made here, byte by byte where a library would refuse to."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from tests.adapters.conftest import config, safetensors, tensors

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
GOOD = {CONFIG: json.dumps(config()).encode(), WEIGHTS: safetensors(tensors())}

Members = Iterable[tuple[str, bytes]]
Build = Callable[[], bytes]


def a_zip(members: Members | dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, change: Any = None) -> bytes:
    """As Python writes it; ``change`` edits each ZipInfo."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in dict(members).items() if isinstance(members, dict) else members:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            info.external_attr = 0o644 << 16
            if change is not None:
                change(info)
            archive.writestr(info, data)
    return made.getvalue()


def a_tar(members: Members | dict[str, bytes], kind: int = tarfile.PAX_FORMAT, change: Any = None) -> bytes:
    """As Python writes it; ``change`` edits each TarInfo."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=kind) as archive:
        for name, data in dict(members).items() if isinstance(members, dict) else members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1.5
            if change is not None:
                change(info)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


def with_tar_member(info: tarfile.TarInfo, data: bytes = b"", *, before: bool = False) -> bytes:
    """A good adapter's tar, and one more member, as it stands in ``info``."""
    more = info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)
    good = a_tar(GOOD)
    end = len(good.rstrip(b"\0")) + 511 & ~511
    return more + good if before else good[:end] + more + bytes(1024)


def tar_member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info


def pax_header(**records: str) -> bytes:
    """An extended header's own bytes."""
    found = b""
    for key, value in records.items():
        rest = f" {key.replace('__', '.')}={value}\n".encode()
        length = len(rest) + 1
        length = len(rest) + len(str(length + len(str(length)) - 1))
        found += str(length).encode() + rest
    return found


def gz(data: bytes) -> bytes:
    return gzip.compress(data, 6, mtime=0)


def xz(data: bytes, dictionary: int = 2**20) -> bytes:
    filters: list[dict[str, Any]] = [{"id": lzma.FILTER_LZMA2, "dict_size": dictionary}]
    return lzma.compress(data, lzma.FORMAT_XZ, filters=filters)


def patched(raw: bytes, signature: bytes, offset: int, form: str, value: Any, which: int = 0) -> bytes:
    """``raw`` with one field set ``offset`` bytes after the ``which``-th place that ``signature`` stands at."""
    at = -1
    for _ in range(which + 1):
        at = raw.index(signature, at + 1)
    packed = struct.pack(form, value)
    return raw[: at + offset] + packed + raw[at + offset + len(packed) :]


def overlapping(count: int = 200) -> bytes:
    """Fifield's overlapped zip: every entry of the directory names the one kernel."""
    kernel = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = kernel.compress(bytes(2**20)) + kernel.flush()
    crc = zlib.crc32(bytes(2**20))
    name = b"0000"
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 33, crc, len(data), 2**20, len(name), 0) + name + data
    entries = b"".join(
        struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 33, crc, len(data), 2**20, 4, 0, 0, 0, 0, 0, 0)
        + f"{number:04}".encode()
        for number in range(count)
    )
    return local + entries + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(entries), len(local), 0)


def many_entries(count: int) -> bytes:
    """A directory of ``count`` empty entries, cheap to write and dear to believe."""
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0)
    entries = b"".join(entry + struct.pack("<L", number | 0x61616161) for number in range(count))
    stated = count & 0xFFFF
    return b"PK\3\4" + entries + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, stated, stated, len(entries), 4, 0)


def long_names(count: int) -> Members:
    """Names as deep and as long as they may be, each with a text that belongs to an adapter."""
    return [("/".join(f"{number:04}{'é' * 26}" for _ in range(15)) + "/README.md", b"x") for number in range(count)]


def set_mode(mode: int, name: str = "more") -> Any:
    def change(info: zipfile.ZipInfo) -> None:
        if info.filename == name:
            info.external_attr = (mode | 0o644) << 16

    return change


def more(name: str, data: bytes = b"x") -> Members:
    """A good adapter's files and one more."""
    return [*GOOD.items(), (name, data)]


def zip_with(name: str, data: bytes = b"x") -> Build:
    return lambda: a_zip(more(name, data))


def tar_with(name: str, data: bytes = b"x") -> Build:
    return lambda: a_tar(more(name, data))


def zip_named(name: bytes) -> Build:
    """A good zip in which one name was overwritten, in both places, by bytes that no library would write."""
    mark = b"@" * len(name)
    return lambda: a_zip(more(mark.decode())).replace(mark, name)


LINKS = {"symbolic link": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE, "character device": tarfile.CHRTYPE,
         "block device": tarfile.BLKTYPE, "fifo": tarfile.FIFOTYPE, "sparse file": tarfile.GNUTYPE_SPARSE,
         "contiguous file": tarfile.CONTTYPE, "unknown kind": b"Q"}  # fmt: skip
MODES = {"symbolic link": stat.S_IFLNK, "character device": stat.S_IFCHR, "fifo": stat.S_IFIFO, "socket": stat.S_IFSOCK}
ZEROS = bytes(96 * 2**20)
SECRET = "/etc/passwd"

HOSTILE: dict[str, Build] = {
    # names
    "zip: ../": zip_with("../evil"),
    "zip: a/../../evil": zip_with("a/../../evil"),
    "zip: absolute": zip_with("/tmp/evil"),
    "zip: drive letter": zip_with("C:/evil"),
    "zip: backslash": zip_with("..\\evil"),
    "zip: NUL in a name": zip_named(b"evil\0.txt"),
    "zip: escapes in a name": zip_with("\x1b]52;c;aGk=\x07"),
    "zip: right-to-left name": zip_with("\u202egpj.exe"),
    "zip: newline in a name": zip_with("a\nb"),
    "zip: name that is not UTF-8": lambda: a_zip(more("é" * 4)).replace("é".encode(), b"\xff\xfe"),
    "zip: name of 600": zip_with("a" * 600),
    "zip: 17 folders deep": zip_with("d/" * 17 + "x"),
    "zip: same name twice": lambda: a_zip([*GOOD.items(), (CONFIG, b"{}")]),
    "zip: case twin": lambda: a_zip([*GOOD.items(), ("Adapter_Config.json", b"{}")]),
    "zip: case twin of a folder": lambda: a_zip([*GOOD.items(), ("sub/a", b""), ("Sub/b", b"")]),
    "zip: unicode twin": lambda: a_zip([*GOOD.items(), ("caf\u00e9", b""), ("cafe\u0301", b"")]),
    "zip: file and folder of one name": lambda: a_zip([*GOOD.items(), ("x", b""), ("x/y", b"")]),
    "tar: ../": tar_with("../evil"),
    "tar: absolute": tar_with("/tmp/evil"),
    "tar: drive letter": tar_with("c:evil"),
    "tar: backslash": tar_with("a\\..\\..\\evil"),
    "tar: escapes in a name": tar_with("\x1b[31mred"),
    "tar: same name twice": lambda: a_tar([*GOOD.items(), (CONFIG, b"{}")]),
    "tar: case twin": lambda: a_tar([*GOOD.items(), (WEIGHTS.upper(), b"")]),
    "tar: 40 folders deep": tar_with("d/" * 40 + "x"),
    "tar: ../ in a pax path": lambda: with_tar_member(
        tar_member("p", tarfile.XHDTYPE, len(pax_header(path="../../evil"))), pax_header(path="../../evil"), before=True
    ),
    "tar: ../ in a GNU long name": lambda: with_tar_member(
        tar_member("l", tarfile.GNUTYPE_LONGNAME, 11), b"../../evil\0", before=True
    ),
    # kinds
    **{f"tar: {what}": partial(with_tar_member, tar_member("more", kind, 0, SECRET)) for what, kind in LINKS.items()},
    "tar: config is a link": lambda: with_tar_member(tar_member(CONFIG, tarfile.SYMTYPE, 0, SECRET), before=True),
    **{f"zip: {what}": partial(a_zip, more("more", SECRET.encode()), change=set_mode(mode))
       for what, mode in MODES.items()},
    "zip: encrypted": lambda: patched(a_zip(GOOD), b"PK\1\2", 8, "<H", 1),
    "zip: strongly encrypted": lambda: patched(a_zip(GOOD), b"PK\1\2", 8, "<H", 0x41),
    "zip: bzip2": lambda: a_zip(GOOD, zipfile.ZIP_BZIP2),
    "zip: lzma": lambda: a_zip(GOOD, zipfile.ZIP_LZMA),
    "zip: zip64": lambda: patched(a_zip(GOOD), b"PK\5\6", 16, "<L", 0xFFFFFFFF),
    "zip: zip64 entry": lambda: patched(a_zip(GOOD), b"PK\1\2", 24, "<L", 0xFFFFFFFF),
    "zip: zip64 locator in disguise": lambda: patched(
        a_zip([*GOOD.items(), ("x" * 60, b"")]), b"PK\5\6", -20, "<4s", b"PK\6\7"
    ),
    "tar: sparse by pax": lambda: with_tar_member(
        tar_member("p", tarfile.XHDTYPE, len(pax_header(GNU__sparse__major="1"))),
        pax_header(GNU__sparse__major="1"), before=True,
    ),
    "tar: size by pax": lambda: with_tar_member(
        tar_member("p", tarfile.XHDTYPE, len(pax_header(size="99"))), pax_header(size="99"), before=True
    ),
    "tar: one name for all": lambda: with_tar_member(
        tar_member("g", tarfile.XGLTYPE, len(pax_header(path=CONFIG))), pax_header(path=CONFIG), before=True
    ),
    "rar": lambda: b"Rar!\x1a\x07\x01\x00" + bytes(600),
    "7z": lambda: b"7z\xbc\xaf\x27\x1c" + bytes(600),
    "tar.bz2": lambda: b"BZh91AY&SY" + bytes(600),
    "zstd": lambda: b"\x28\xb5\x2f\xfd" + bytes(600),
    "empty file": lambda: b"",
    "zeros": lambda: bytes(10_240),
    "text": lambda: b"hello\n" * 200,
    "html": lambda: b"<!DOCTYPE html><html>404</html>",
    "gz of no tar": lambda: gz(b"hello" * 1000),
    "gz of a gz of a tar": lambda: gz(gz(a_tar(GOOD))),
    "torch pickle": lambda: a_zip({"archive/data.pkl": b"\x80\x02}q\0.", "archive/version": b"3\n"}),
    "bare pickle": lambda: b"\x80\x04}." + bytes(600),
    "GGUF": lambda: b"GGUF\x03" + bytes(600),
    # bombs
    "zip: bomb": lambda: a_zip([("zeros", ZEROS), *GOOD.items()]),
    "zip: bomb as weights": lambda: a_zip({CONFIG: GOOD[CONFIG], WEIGHTS: ZEROS}),
    "zip: overlapping members": overlapping,
    "zip: many files": lambda: many_entries(6000),
    "zip: 60,000 files": lambda: many_entries(60_000),
    "zip: many members of a good one": lambda: a_zip([*GOOD.items(), *((f"f{n}", b"") for n in range(2000))]),
    "zip: 1,999 long names": lambda: a_zip(long_names(1999)),
    "tar.gz: 990 long names": lambda: gz(a_tar(long_names(990), tarfile.GNU_FORMAT)),
    "zip: config of 200 MB stated": lambda: patched(a_zip(GOOD), b"PK\1\2", 24, "<L", 200 * 2**20),
    "zip: config of 2 MB": lambda: a_zip({CONFIG: b" " * 2**21, WEIGHTS: GOOD[WEIGHTS]}),
    "tar.gz: bomb": lambda: gz(a_tar([("zeros", ZEROS), *GOOD.items()])),
    "tar.xz: bomb": lambda: xz(a_tar([("zeros", ZEROS), *GOOD.items()])),
    "tar.gz: bomb after the end": lambda: gz(a_tar(GOOD) + ZEROS),
    "tar.xz: dictionary of 1 GB": lambda: claiming_dictionary(a_tar(GOOD)),
    "tar: extended header of 1 GB": lambda: with_tar_member(tar_member("p", tarfile.XHDTYPE, 2**30), b"", before=True),
    "tar.gz: extended header of zeros": lambda: gz(
        with_tar_member(tar_member("p", tarfile.XHDTYPE, len(ZEROS)), ZEROS, before=True)
    ),
    "tar: long name of 1 MB": lambda: with_tar_member(
        tar_member("l", tarfile.GNUTYPE_LONGNAME, 2**20), b"a" * 2**20, before=True
    ),
    "tar: endless extended headers": lambda: (
        (tar_member("p", tarfile.XHDTYPE, 60_000).tobuf() + (b"8 aa=bc\n" * 7500) + bytes(-60_000 % 512)) * 60
        + a_tar(GOOD)
    ),
    "tar: many files": lambda: a_tar([(f"f{n}", b"") for n in range(2001)], tarfile.GNU_FORMAT),
    "tar: size below zero": lambda: with_tar_member(tar_member("more", size=-512)),
    "tar: 8 EB stated": lambda: with_tar_member(tar_member("more", size=2**63 - 1), before=True),
    # damage
    "zip: cut off": lambda: a_zip(GOOD)[:-100],
    "zip: half": lambda: a_zip(GOOD)[: len(a_zip(GOOD)) // 2],
    "zip: begins late": lambda: b"PK\3\4" + bytes(500) + a_zip(GOOD),
    "zip: bytes after its end": lambda: a_zip(GOOD) + b"rubbish",
    "zip: wrong checksum": lambda: patched(a_zip(GOOD), b"PK\1\2", 16, "<L", 0),
    "zip: wrong checksum of what is left out": lambda: patched(a_zip(more("x")), b"PK\1\2", 16, "<L", 0, which=2),
    "zip: damaged data": lambda: patched(a_zip(GOOD), b"PK\3\4", 60, "<L", 0xFFFFFFFF),
    "zip: size too small": lambda: patched(a_zip(GOOD), b"PK\1\2", 24, "<L", 10),
    "zip: size too large": lambda: patched(a_zip(GOOD), b"PK\1\2", 24, "<L", 5000),
    "zip: two names for one": lambda: patched(a_zip(GOOD), b"PK\3\4", 30, "<4s", b"evil"),
    "zip: offset beyond the end": lambda: patched(a_zip(GOOD), b"PK\1\2", 42, "<L", 2**31),
    "zip: directory elsewhere": lambda: patched(a_zip(GOOD), b"PK\5\6", 16, "<L", 7),
    "zip: count that lies": lambda: patched(a_zip(GOOD), b"PK\5\6", 8, "<H", 9),
    "zip: of several disks": lambda: patched(a_zip(GOOD), b"PK\5\6", 4, "<H", 3),
    "zip: folder with bytes": lambda: patched(a_zip(more("x/")), b"PK\1\2", 24, "<L", 1, which=2),
    "tar: cut off": lambda: a_tar(GOOD)[:2000],
    "tar: no end": lambda: a_tar(GOOD).rstrip(b"\0")[:-1],
    "tar: bytes after its end": lambda: a_tar(GOOD) + b"rubbish" * 100,
    "tar: much after its end": lambda: a_tar(GOOD) + bytes(2**21),
    "tar: a second tar after its end": lambda: a_tar(GOOD) + a_tar({"more": b"x"}),
    "tar: damaged header": lambda: with_tar_member(tar_member("more")).replace(b"more\0", b"m0re\0", 1),
    "tar: damaged extended header": lambda: with_tar_member(
        tar_member("p", tarfile.XHDTYPE, 20), b"99999999 path=x\n\0\0\0\0", before=True
    ),
    "tar.gz: cut off": lambda: gz(a_tar(GOOD))[:-10],
    "tar.gz: wrong checksum": lambda: patched(gz(a_tar(GOOD)), gz(a_tar(GOOD))[-8:], 0, "<L", 0),
    "tar.gz: damaged": lambda: gz(a_tar(GOOD))[:200] + b"\xff" * 50 + gz(a_tar(GOOD))[250:],
    "tar.gz: bytes after its end": lambda: gz(a_tar(GOOD)) + b"rubbish",
    "tar.gz: another after its end": lambda: gz(a_tar(GOOD)) * 2,
    "tar.xz: cut off": lambda: xz(a_tar(GOOD))[:-10],
    "tar.xz: damaged": lambda: xz(a_tar(GOOD))[:200] + b"\xff" * 50 + xz(a_tar(GOOD))[250:],
    "tar.xz: bytes after its end": lambda: xz(a_tar(GOOD)) + b"rubbish",
    # what is in it
    "zip: nothing in it": lambda: a_zip({}),
    "zip: no adapter in it": lambda: a_zip({"readme.txt": b"hi"}),
    "zip: two adapters": lambda: a_zip([(f"{which}/{name}", data) for which in "ab" for name, data in GOOD.items()]),
    "zip: three in folders of folders": lambda: a_zip(
        [(f"all/{which}/{name}", data) for which in "abc" for name, data in GOOD.items()]
    ),
    "zip: a zip in a zip": lambda: a_zip({"adapter.zip": a_zip(GOOD)}),
    "zip: pickle only": lambda: a_zip({CONFIG: GOOD[CONFIG], "adapter_model.bin": b"\x80\x02"}),
    "zip: a whole model": lambda: a_zip({"config.json": b"{}", "model.safetensors": GOOD[WEIGHTS]}),
    "zip: config missing": lambda: a_zip({WEIGHTS: GOOD[WEIGHTS]}),
    "zip: config in another folder": lambda: a_zip({f"a/{CONFIG}": GOOD[CONFIG], f"a/b/{WEIGHTS}": GOOD[WEIGHTS]}),
    "zip: config is a folder": lambda: a_zip({f"{CONFIG}/x": b"", WEIGHTS: GOOD[WEIGHTS]}),
    "zip: weights of NaN": lambda: a_zip({**GOOD, WEIGHTS: GOOD[WEIGHTS][:-4] + struct.pack("<f", float("nan"))}),
    "zip: manifest not TOML": lambda: a_zip({**GOOD, "adapter.toml": b"name = "}),
    "zip: manifest name leads out": lambda: a_zip({**GOOD, "adapter.toml": b'name = "../../evil"'}),
    "zip: r of 10^9": lambda: a_zip({**GOOD, CONFIG: json.dumps(config(r=10**9)).encode()}),
    "tar: no adapter in it": lambda: a_tar({"readme.txt": b"hi"}),
    "tar: two adapters": lambda: a_tar([(f"{which}/{name}", data) for which in "ab" for name, data in GOOD.items()]),
    "tar: pickle only": lambda: a_tar({CONFIG: GOOD[CONFIG], "adapter_model.bin": b"\x80\x02"}),
    "tar: dora": lambda: a_tar({**GOOD, CONFIG: json.dumps(config(use_dora=True)).encode()}),
}  # fmt: skip
"""What each is called, to its bytes."""


def claiming_dictionary(data: bytes) -> bytes:
    """An xz whose block says that a gigabyte of memory is needed: the filter's property byte, and the header's CRC."""
    raw = bytearray(xz(data))
    begin = 12  # after the stream header; the block header's size stands in its first byte
    size = (raw[begin] + 1) * 4
    at = raw.index(b"\x21\x01", begin) + 2
    raw[at] = 36  # (2 | 36 & 1) << (36 // 2 + 11) bytes
    raw[begin + size - 4 : begin + size] = zlib.crc32(raw[begin : begin + size - 4]).to_bytes(4, "little")
    return bytes(raw)


def suffix_of(case: str) -> str:
    """Such as ``.tar.gz``, from what a case is called."""
    form = case.partition(":")[0]
    return f".{form}" if form in ("zip", "tar", "tar.gz", "tar.xz") else ".zip"


def write(folder: Path, case: str) -> Path:
    """The archive that ``case`` names, in ``folder``."""
    path = folder / f"bot{suffix_of(case)}"
    path.write_bytes(HOSTILE[case]())
    return path
