"""The server's refusals. Owns their HTTP status and OpenAI's form of them; never decides what is refused."""

from __future__ import annotations

from lora_chat.errors import LoraChatError, NotFoundError, RefusedError
from lora_chat.text import clean_line

_LONGEST = 1000


class ApiError(Exception):
    """What a client is told instead of an answer."""

    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None) -> None:
        """``param`` names the field of the request that is wrong, as ``messages[0].content``."""
        super().__init__(message)
        self.status = status
        self.message = clean_line(message, _LONGEST)
        self.code = code
        self.param = param

    @property
    def type(self) -> str:
        """OpenAI's word for whose fault it is."""
        if self.status == 429:
            return "rate_limit_error"
        return "server_error" if self.status >= 500 else "invalid_request_error"

    @property
    def headers(self) -> dict[str, str]:
        """What goes with it: how to authenticate, when to come back."""
        if self.status == 401:
            return {"WWW-Authenticate": "Bearer"}
        return {"Retry-After": "1"} if self.status in (429, 503) else {}

    @property
    def body(self) -> dict[str, object]:
        """OpenAI's form."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


def wrong(param: str, message: str, code: str = "invalid_value") -> ApiError:
    """A field of the request cannot be used."""
    return ApiError(400, message, code, param)


def unavailable(message: str, code: str = "engine_unavailable") -> ApiError:
    """Nothing can be answered now."""
    return ApiError(503, message, code)


def as_api_error(error: Exception) -> ApiError:
    """Any failure as a client is told it; of a defect only its kind, as its words may hold a conversation's."""
    match error:
        case ApiError():
            return error
        case NotFoundError():
            return ApiError(404, str(error), "model_not_found", "model")
        case RefusedError():
            return ApiError(400, str(error), "invalid_value")
        case LoraChatError():
            return ApiError(500, str(error), "engine_failed")
    return ApiError(500, f"The server failed ({type(error).__name__}): what it prints says where to look.", "defect")
