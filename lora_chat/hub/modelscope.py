"""ModelScope, or the mirror that ``MODELSCOPE_ENDPOINT`` names. Owns its listing, its addresses and what it alone
answers; never decides which files are wanted.

Its HTTP interface is spoken directly (``/api/v1/models/…/repo``), with the names that its own client reads from the
environment. The token that ``modelscope login`` keeps is not read: it lies in a pickle. Redirects to where the large
files lie carry no token: the HTTP client drops both headers that hold it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from lora_chat.errors import EngineError, NotFoundError, RefusedError
from lora_chat.hub.listing import Listing, Remote, Words
from lora_chat.hub.place import Hub
from lora_chat.text import clean_line

_CHINA, _ABROAD = "https://modelscope.cn", "https://www.modelscope.ai"
_BRANCH = "master"
_NOT_FOUND = frozenset({404, 10010205001})
"""What stands in ``Code`` for a repository that is not there, also in an answer with the status 200."""
_TOKEN = re.compile(r"[!-~]{1,500}")


class ModelScope(Hub):
    """See the module."""

    called: ClassVar[str] = "ModelScope"
    setting: ClassVar[str] = "MODELSCOPE_ENDPOINT"
    token_place: ClassVar[str] = "in MODELSCOPE_API_TOKEN"

    def list_files(self, repo: str, revision: str | None) -> Listing:
        """See ``Hub``."""
        from huggingface_hub.utils import get_session, hf_raise_for_status  # type: ignore[attr-defined]

        branch = revision or _BRANCH
        answer = get_session().get(
            f"{self._repository(repo)}/files",
            params={"Revision": branch, "Recursive": "True"},  # in any other spelling it is passed over
            headers=self.headers(),
            timeout=30,
        )
        hf_raise_for_status(answer)
        try:
            found = answer.json()
            if not isinstance(found, dict) or "Code" not in found:
                raise TypeError("an answer of ModelScope")
            if found["Code"] != 200 or found.get("Success") is False:
                raise self._said(found, repo)
            files = _files(found["Data"]["Files"])
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise self.no_hub(repo) from error
        if files is None:  # so it answers for a branch that is not there
            if revision is not None:
                raise self.no_revision(repo)
            raise NotFoundError(f"ModelScope lists no files of {repo}: choose another model.")
        return Listing(repo, _digest(branch, files), branch, files)

    def address(self, listing: Listing, name: str) -> str:
        """See ``Hub``."""
        return f"{self._repository(listing.repo)}?{urlencode({'Revision': listing.revision, 'FilePath': name})}"

    def headers(self) -> dict[str, str]:
        """See ``Hub``."""
        # Compressed on its way, half a file could not be gone on with.
        headers = {"User-Agent": "lora-chat", "Accept-Encoding": "identity"}
        if token := _token():
            headers |= {"Authorization": f"Bearer {token}", "Cookie": f"m_session_id={token}"}
        return headers

    def named_endpoint(self) -> str:
        """See ``Hub``; ``MODELSCOPE_DOMAIN`` is the older name, and either may leave out the scheme."""
        named = (os.environ.get(name, "").strip() for name in ("MODELSCOPE_ENDPOINT", "MODELSCOPE_DOMAIN"))
        endpoint = next(filter(None, named), "")
        return endpoint if not endpoint or "://" in endpoint else f"https://{endpoint}"

    def endpoint(self) -> str:
        """See ``Hub``; ``MODELSCOPE_PREFER_AI_SITE`` means the site abroad."""
        self.check_endpoint()
        abroad = os.environ.get("MODELSCOPE_PREFER_AI_SITE", "").strip().casefold() in ("1", "true", "yes", "on")
        return (self.named_endpoint() or (_ABROAD if abroad else _CHINA)).rstrip("/")

    def page(self, repo: str) -> str:
        """See ``Hub``."""
        return self._below(f"models/{repo}")

    def check(self, listing: Listing, wanted: Sequence[Remote]) -> None:
        """See ``Hub``."""
        for remote in wanted:
            if remote.sha256 is None:
                raise RefusedError(
                    f"ModelScope names no SHA-256 of {clean_line(remote.name, 80)} in {listing.repo}, so it could not "
                    "be checked: choose another model."
                )

    def gated(self, repo: str) -> RefusedError:
        """See ``Hub``; it tells what is private from what is gated as little as the person's token from none."""
        if not _token():
            return self.hidden(repo)
        return RefusedError(
            f"ModelScope does not show {repo} to the account of MODELSCOPE_API_TOKEN: ask for access at "
            f"{self.page(repo)}, or give another token."
        )

    def hidden(self, repo: str) -> RefusedError:
        """See ``Hub``."""
        if _token():
            return self.gated(repo)
        return super().hidden(repo)

    def refused_as(self, error: Exception, repo: str, words: Words) -> Exception | None:
        """See ``Hub``."""
        return self.missing(repo, words) if isinstance(error, _Missing) else None

    def _said(self, found: Mapping[str, Any], repo: str) -> Exception:
        """What it says has failed, in an answer that arrived well."""
        code = found["Code"]
        if code in _NOT_FOUND:
            return _Missing()
        if code in (401, 403):
            return self.gated(repo)
        said = clean_line(str(found.get("Message") or code), 120).rstrip(".")
        return EngineError(f'ModelScope refused {repo} ("{said}"): try again later, and look at {self.page(repo)}.')

    def _repository(self, repo: str) -> str:
        return f"{self.endpoint()}/api/v1/models/{quote(repo)}/repo"


class _Missing(Exception):
    """The repository is not there."""


def _token() -> str:
    """The person's token; "" where they have none."""
    token = os.environ.get("MODELSCOPE_API_TOKEN", "").strip()
    if token and (not _TOKEN.fullmatch(token) or ";" in token):
        raise RefusedError("What MODELSCOPE_API_TOKEN holds can be no token: set it again, or unset it.")
    return token


def _files(found: Any) -> tuple[Remote, ...] | None:
    if not found:
        return None
    return tuple(_remote(each) for each in found if each["Type"] != "tree")


def _remote(found: Mapping[str, Any]) -> Remote:
    name, size, sha256 = found["Path"], found["Size"], found.get("Sha256") or None
    if not isinstance(name, str) or type(size) is not int or size < 0:
        raise TypeError("a file's name and size")
    if sha256 is not None and not re.fullmatch("[0-9a-f]{64}", sha256 := str(sha256).casefold()):
        raise TypeError("a file's hash")
    return Remote(name, size, sha256, None)


def _digest(branch: str, files: Sequence[Remote]) -> str:
    """It names no commit that could be asked for: what it lists stands for one."""
    listed = sorted((remote.name, remote.size, remote.sha256 or "") for remote in files)
    return hashlib.sha256(repr((branch, listed)).encode("utf-8", "surrogatepass")).hexdigest()
