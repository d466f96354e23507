"""The Hugging Face hub, or the mirror that ``HF_ENDPOINT`` names. Owns its listing, its addresses and what it alone
answers; never decides which files are wanted.

``huggingface_hub`` supplies the endpoint and the token.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, ClassVar

from lora_chat.errors import EngineError, RefusedError
from lora_chat.hub.listing import Listing, Remote, Words
from lora_chat.hub.place import Hub

_BAD_TOKEN = "Invalid credentials in Authorization header"
"""What the hub says (``X-Error-Message``) of a token that it does not know."""


class HuggingFace(Hub):
    """See the module."""

    called: ClassVar[str] = "the hub"
    setting: ClassVar[str] = "HF_ENDPOINT"
    token_place: ClassVar[str] = "in HF_TOKEN or by `hf auth login`"

    def list_files(self, repo: str, revision: str | None) -> Listing:
        """See ``Hub``."""
        from huggingface_hub import HfApi, constants
        from huggingface_hub.errors import HFValidationError

        # Otherwise the client names torch in its headers and first asks the hub for a list of agents to look for.
        constants.HF_HUB_DISABLE_TELEMETRY = True
        try:
            info = HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=30)
            files = tuple(_remote(sibling) for sibling in info.siblings or [])
        except (HFValidationError, UnicodeEncodeError):
            raise
        except (
            AttributeError,
            KeyError,
            TypeError,
            ValueError,
            RecursionError,
        ) as error:  # the client believes every answer
            raise self.no_hub(repo) from error
        if not isinstance(info.sha, str) or not re.fullmatch("[0-9a-f]{40}", info.sha):
            raise RefusedError(f"The hub did not name a commit for {repo}: try again.")
        return Listing(repo, info.sha, info.sha, files)

    def address(self, listing: Listing, name: str) -> str:
        """See ``Hub``."""
        from huggingface_hub import hf_hub_url

        return hf_hub_url(listing.repo, name, revision=listing.revision)

    def headers(self) -> dict[str, str]:
        """See ``Hub``."""
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        headers: dict[str, str] = build_hf_headers()
        return headers

    def named_endpoint(self) -> str:
        """See ``Hub``."""
        return os.environ.get("HF_ENDPOINT", "")

    def endpoint(self) -> str:
        """See ``Hub``."""
        self.check_endpoint()
        from huggingface_hub import constants

        return str(constants.ENDPOINT).rstrip("/")

    def check(self, listing: Listing, wanted: Sequence[Remote]) -> None:
        """Nothing: some mirrors leave out git's ids of small files."""

    def refused_as(self, error: Exception, repo: str, words: Words) -> Exception | None:
        """See ``Hub``."""
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            HFValidationError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        if isinstance(error, RevisionNotFoundError):
            return self.no_revision(repo)
        if isinstance(error, GatedRepoError):
            return self.gated(repo)
        if isinstance(error, UnicodeEncodeError):  # of a header: nothing else of ours has letters beyond ASCII
            return RefusedError("The token in HF_TOKEN or of `hf auth login` can be none: set it again, or unset it.")
        if isinstance(error, HFValidationError):
            return self.missing(repo, words)
        if isinstance(error, HfHubHTTPError):
            said = error.response.headers.get("X-Error-Message", "")
            if error.response.status_code == 401 and said == _BAD_TOKEN:
                return EngineError(
                    f"The hub does not know the token that it was given for {repo}: make one at "
                    f"{self._below('settings/tokens')} and put it {self.token_place}."
                )
            if isinstance(error, RepositoryNotFoundError) and error.response.status_code != 401:
                return self.missing(repo, words)
        return None


def _remote(sibling: Any) -> Remote:
    lfs, name, size = sibling.lfs, sibling.rfilename, sibling.size or 0
    if not isinstance(name, str) or type(size) is not int or size < 0:
        raise TypeError("a file's name and size")
    return Remote(name, size, lfs.sha256 if lfs else None, None if lfs else sibling.blob_id)
