"""What every hub has in common. Owns the sentence for each way one can fail; never fetches a file."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar
from urllib.parse import urlsplit

from lora_chat.errors import EngineError, LoraChatError, NotFoundError, RefusedError
from lora_chat.files import is_disk_full
from lora_chat.hub.listing import Listing, Remote, Words
from lora_chat.text import clean_line


class Hub(ABC):
    """A place that serves repositories over HTTP."""

    called: ClassVar[str]
    """Within a sentence, such as ``the hub``."""
    setting: ClassVar[str]
    """The variable that names another endpoint."""
    token_place: ClassVar[str]
    """Where a person puts their token."""

    @abstractmethod
    def list_files(self, repo: str, revision: str | None) -> Listing:
        """Ask for the files of ``repo``; none moves before they are known to be right.

        Raises:
            NotFoundError: no such revision.
            RefusedError: the hub named no commit, or does not give it.
            EngineError: what answered is no hub.
            Exception: the client's; see ``told``.
        """

    @abstractmethod
    def address(self, listing: Listing, name: str) -> str:
        """Where a file of it is served."""

    @abstractmethod
    def headers(self) -> dict[str, str]:
        """What is sent with each request, the person's token included.

        Raises:
            RefusedError: what is set as the token can be none.
        """

    @abstractmethod
    def endpoint(self) -> str:
        """The address that all others begin with, without a slash at its end."""

    def page(self, repo: str) -> str:
        """Where a person reads of ``repo``; a password in the endpoint is left out."""
        return self._below(repo)

    @abstractmethod
    def check(self, listing: Listing, wanted: Sequence[Remote]) -> None:
        """Refuse what could not be checked once it came.

        Raises:
            RefusedError: a file without a hash, where this hub gives one of each.
        """

    @contextmanager
    def told(self, repo: str, words: Words) -> Iterator[None]:
        """Turn each way the hub can fail into one sentence; what is no failure of the hub passes as it is."""
        try:
            self.check_endpoint()
            with _quietly():
                yield
        except (LoraChatError, KeyboardInterrupt):
            raise
        except Exception as error:
            raise self._refusal(error, repo, words) from error

    def check_endpoint(self) -> None:
        """Refuse a setting that is no address, which the client would stumble over at its import.

        Raises:
            EngineError: naming the setting.
        """
        named = self.named_endpoint()
        try:
            parts = urlsplit(named)
            right = not named or (parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0)
        except ValueError:
            right = False
        if not right:
            raise EngineError(f"{self.setting} holds no address like https://host: correct it, or unset it.")

    @abstractmethod
    def named_endpoint(self) -> str:
        """What the person's setting says; "" where they have none."""

    def licence_step(self, repo: str) -> str:
        """What a person does before a gated repository is given to them."""
        return f"accept its licence at {self.page(repo)}, then give a token of that account {self.token_place}"

    def no_hub(self, repo: str) -> EngineError:
        """The sentence for an answer that no such hub gives."""
        return EngineError(
            f"What answered for {repo} is no {self._bare}: try again, and look at {self.setting} if it is set."
        )

    def no_revision(self, repo: str) -> NotFoundError:
        """The sentence for a branch, tag or commit that is not there."""
        return NotFoundError(f"{repo} has no such revision: leave it out for the default branch.")

    def hidden(self, repo: str) -> RefusedError:
        """The sentence for what is not shown to this person, for whatever reason."""
        return RefusedError(
            f"{self._begun} does not show {repo} to you: check the name; if it is gated or private, "
            f"{self.licence_step(repo)}."
        )

    def gated(self, repo: str) -> RefusedError:
        """The sentence for what is given to some accounts only."""
        return RefusedError(f"{repo} is gated: {self.licence_step(repo)}.")

    def missing(self, repo: str, words: Words) -> NotFoundError:
        """The sentence for what is not there."""
        return NotFoundError(f"{self._begun} has no {words.what} {repo}: check the name, org/name.")

    def refused_as(self, error: Exception, repo: str, words: Words) -> Exception | None:
        """This hub's own sentence for ``error``, which comes before those of all hubs; None where it has none."""
        return None

    def _refusal(self, error: Exception, repo: str, words: Words) -> Exception:
        """One sentence for how the hub failed; what is no failure of the hub comes back as it is."""
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        if isinstance(error, OfflineModeIsEnabled):
            return EngineError(f"HF_HUB_OFFLINE is set, so {repo} cannot be fetched: unset it and try again.")
        if own := self.refused_as(error, repo, words):
            return own
        status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
        if status == 401:
            return self.hidden(repo)
        if status == 403:
            return self.gated(repo)
        if status == 404:
            return self.missing(repo, words)
        if status:
            return EngineError(f"{self._begun} answered {status} for {repo}: try again later{words.again}.")
        if type(error) is OSError and error.errno is None:  # http_get's, once the line ended as if all had come
            return EngineError(
                f"{self._begun} sent less of {repo} than its list says: try again, or later{words.again}."
            )
        if type(error).__module__.startswith("httpx") or (isinstance(error, OSError) and not _is_ours(error)):
            return EngineError(
                f"The connection to {self.called} failed for {repo} ({clean_line(type(error).__name__, 60)}): "
                f"try again{words.again}."
            )
        return error

    @property
    def _begun(self) -> str:
        """Its name where a sentence begins."""
        return self.called[0].upper() + self.called[1:]

    @property
    def _bare(self) -> str:
        return self.called.removeprefix("the ")

    def _below(self, path: str) -> str:
        endpoint = urlsplit(self.endpoint())
        return clean_line(f"{endpoint.scheme}://{endpoint.netloc.rpartition('@')[2]}{endpoint.path.rstrip('/')}/{path}")


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the client from writing to the terminal, addresses with a password and cookies included."""
    from huggingface_hub import file_download, hf_api  # noqa: F401  # each import sets the level anew

    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _is_ours(error: OSError) -> bool:
    """Whether the disk failed, rather than the line."""
    return is_disk_full(error) or error.filename is not None
