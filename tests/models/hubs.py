"""Hubs on this machine that serve over real HTTP, and fail in the ways that real ones do."""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Request = BaseHTTPRequestHandler


@dataclass
class FakeServer:
    """What serves files of repositories, and notes what it was asked."""

    repos: dict[str, dict[str, bytes]]
    address: str = ""
    prefix: str = ""
    """A path that all its addresses begin with."""
    status: int = 200
    """Answered to every look at a model."""
    file_status: int = 200
    """Answered to every file."""
    error_code: str = ""
    error_message: str = ""
    body: bytes = b""
    """Answered in the place of what is true."""
    cut_after: int | None = None
    """Bytes of the weights after which the first connection breaks."""
    cuts: list[int] = field(default_factory=list)
    """Bytes of each connection for the weights after which it breaks, one connection after the other."""
    reset: bool = False
    """Whether a broken connection is reset, instead of ended."""
    stall_after: int | None = None
    """Bytes of the weights after which the server says nothing more, until ``go_on``."""
    stalled: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    deaf: bool = False
    """Whether it sends the whole file where a part was asked for."""
    elsewhere: str = ""
    """Where weights are sent for, instead of being served."""
    tokens: list[str] = field(default_factory=list)
    """The Authorization header of every request."""
    cookies: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """The path of every request."""
    agents: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    """The Range header of every request for the weights, "" for none."""
    fetched: list[str] = field(default_factory=list)
    altered: bytes = b""
    """Served instead of the weights, under the true hash."""

    def handler(self) -> type[BaseHTTPRequestHandler]:
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.note(self)
                served.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler

    def note(self, request: Request) -> None:
        self.asked.append(request.path.split("?")[0])
        self.tokens.append(request.headers.get("Authorization", ""))
        self.cookies.append(request.headers.get("Cookie", ""))
        self.agents.append(request.headers.get("User-Agent", ""))

    def answer(self, request: Request) -> None:
        raise NotImplementedError

    def send(self, request: Request, status: int, body: bytes, **headers: str) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def send_file(self, request: Request, name: str, files: dict[str, bytes]) -> None:
        data, asked = files[name], request.headers.get("Range", "")
        self.fetched.append(name)
        is_weights = name.endswith(".safetensors")
        if is_weights and self.elsewhere:
            return self.send(request, 302, b"", Location=f"{self.elsewhere}/{name}")
        if is_weights:
            self.ranges.append(asked)
            data = self.altered or data
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked and not self.deaf else 0
        if start and start >= len(data):
            return self.send(request, 416, b"", Content_Range=f"bytes */{len(data)}")
        request.send_response(206 if asked and not self.deaf else 200)
        request.send_header("Content-Length", str(len(data) - start))
        if asked and not self.deaf:
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        request.end_headers()
        self._send_bytes(request, data[start:], start, is_weights)
        return None

    def _send_bytes(self, request: Request, data: bytes, start: int, is_weights: bool) -> None:
        cut = stall = None
        if is_weights and self.cuts:
            cut = self.cuts.pop(0)
        elif is_weights and self.cut_after is not None:
            cut, self.cut_after = max(self.cut_after - start, 0), None
        elif is_weights and self.stall_after is not None:
            stall, self.stall_after = self.stall_after - start, None
        if cut is not None:
            request.wfile.write(data[:cut])
            self._break(request)
        elif stall is not None:
            request.wfile.write(data[:stall])
            request.wfile.flush()
            self.stalled.set()
            self.go_on.wait(30)
        else:
            request.wfile.write(data)

    def _break(self, request: Request) -> None:
        if self.reset:
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.rfile.close()
            request.wfile.close()
        request.connection.close()


@dataclass
class FakeHub(FakeServer):
    """What the calls of Hugging Face's hub answer: a model's files, and one file from a given byte on."""

    def answer(self, request: Request) -> None:
        path = request.path.split("?")[0].removeprefix(self.prefix)
        if path.startswith("/api/models/"):
            self._describe(request, path.removeprefix("/api/models/").split("/revision/")[0])
        elif self.file_status != 200:
            self.send(request, self.file_status, b"{}", **self._errors(self.file_status))
        else:
            repo, _, rest = path.strip("/").partition("/resolve/")
            self.send_file(request, rest.partition("/")[2], self.repos[repo])

    def _describe(self, request: Request, repo: str) -> None:
        status = self.status if repo in self.repos else 404
        body = self.body or json.dumps(self._info(repo) if status == 200 else {"error": "no"}).encode()
        self.send(request, status, body, **self._errors(status))

    def _errors(self, status: int) -> dict[str, str]:
        code = self.error_code or ("RepoNotFound" if status == 404 else "")
        said = {"X_Error_Code": code, "X_Error_Message": self.error_message}
        return {name: value for name, value in said.items() if value and status != 200}

    def _info(self, repo: str) -> dict[str, object]:
        files = self.repos[repo]
        return {"id": repo, "sha": self.commit(repo), "siblings": [self._sibling(*each) for each in files.items()]}

    def commit(self, repo: str) -> str:
        names_and_sizes = repr([(name, hashlib.sha1(data).digest()) for name, data in self.repos[repo].items()])
        return hashlib.sha1(names_and_sizes.encode()).hexdigest()

    @staticmethod
    def _sibling(name: str, data: bytes) -> dict[str, object]:
        blob = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
        sibling: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": blob}
        if name.endswith(".safetensors"):
            digest = hashlib.sha256(data).hexdigest()
            sibling["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 134}
        return sibling


@dataclass
class FakeModelScope(FakeServer):
    """What ModelScope answers: each answer in an envelope, and 200 with no files for a branch that is not there."""

    branches: tuple[str, ...] = ("master",)
    code: int = 200
    """``Code`` of every look at a model; its status is ``status``."""
    message: str = ""
    lies: dict[str, object] = field(default_factory=dict)
    """Said of the weights in the listing instead of what is true."""
    listed: list[dict[str, list[str]]] = field(default_factory=list)
    """The query of every look at a model."""

    def answer(self, request: Request) -> None:
        address = urlsplit(request.path)
        query = parse_qs(address.query)
        path = address.path.removeprefix(self.prefix)
        repo, _, rest = path.removeprefix("/api/v1/models/").partition("/repo")
        if not path.startswith("/api/v1/models/"):
            self.send(request, 404, b"<html>no page</html>")
        elif rest == "/files":
            self.listed.append(query)
            self._list(request, repo, query)
        elif self.file_status != 200:
            self.send(request, self.file_status, self._envelope(None, self.file_status, self.message))
        elif (name := query["FilePath"][0]) in self.repos[repo] and query["Revision"][0] in self.branches:
            self.send_file(request, name, self.repos[repo])
        else:
            self.send(request, 404, self._envelope(None, 10990101007, "file not found"))

    def _list(self, request: Request, repo: str, query: dict[str, list[str]]) -> None:
        if repo not in self.repos:
            return self.send(request, 404, self._envelope(None, 10010205001, "record not found"))
        data: object = None
        if self.status == 200 and self.code == 200:
            known = query["Revision"][0] in self.branches
            data = {"Files": self._entries(repo) if known else None, "IsVisual": 0, "LatestCommitter": None}
        body = self.body or self._envelope(data, self.code if self.code != 200 else self.status, self.message)
        return self.send(request, self.status, body)

    @staticmethod
    def _envelope(data: object, code: int, message: str) -> bytes:
        found = {"Code": code, "Data": data, "Message": message, "RequestId": "0", "Success": code == 200}
        return json.dumps(found).encode()

    def _entries(self, repo: str) -> list[dict[str, Any]]:
        trees = {name.rpartition("/")[0] for name in self.repos[repo] if "/" in name}
        entries: list[dict[str, Any]] = [{"Path": each, "Name": each, "Type": "tree", "Size": 0} for each in trees]
        for name, data in self.repos[repo].items():
            digest = hashlib.sha256(data).hexdigest()
            entry = {"Path": name, "Name": name.rpartition("/")[2], "Type": "blob", "Size": len(data)}
            entry |= {"Sha256": digest, "IsLFS": len(data) > 5000, "Revision": hashlib.sha1(data).hexdigest()}
            entries.append(entry | (self.lies if name.endswith(".safetensors") else {}))
        return entries


@contextmanager
def on(served: FakeServer) -> Iterator[None]:
    """Have ``served`` answer at its ``address`` on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), served.handler())
    server.daemon_threads = True
    served.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        served.go_on.set()
        server.shutdown()
        server.server_close()


@contextmanager
def serving(repos: dict[str, dict[str, bytes]]) -> Iterator[FakeHub]:
    """A hub on this machine that serves ``repos``."""
    served = FakeHub(repos)
    with on(served):
        yield served
