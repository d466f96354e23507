"""A base's chat template, run where it can do no harm. Owns the sandbox and its limits; never sees a token.

A template comes with the weights of a stranger. It reaches no attribute that begins with an underscore, changes
nothing it is given, and ends: loops and calls are counted, because jinja2's own sandbox bounds one ``range`` only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lora_chat.errors import LoraChatError, RefusedError
from lora_chat.text import clean_line

MOST_STEPS = 50_000
"""Loop rounds and calls of one rendering: 2 s at the worst. A conversation of 1,000 messages takes a few thousand."""

LONGEST_TEXT = 20_000_000
"""Characters that one operation of a template may make."""

Render = Callable[[Mapping[str, Any]], str]


def compile_template(source: str) -> Render:
    """Return what writes ``source`` out for given variables; both raise only ``RefusedError``.

    Raises:
        RefusedError: it is no template, by its first mistake.
    """
    sandbox = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation])
    sandbox.globals.pop("lipsum")
    sandbox.globals |= {"raise_exception": _raise_exception, "strftime_now": _strftime_now}
    sandbox.filters |= {"tojson": _to_json, "counted": sandbox.counted}
    try:
        tree = sandbox.parse(source)
        for loop in list(tree.find_all(nodes.For)):
            loop.iter = nodes.Filter(loop.iter, "counted", [], [], None, None)
        code = sandbox.compile(tree)
        template = sandbox.template_class.from_code(sandbox, code, sandbox.make_globals(None))
    except (TemplateError, RecursionError, ValueError) as error:
        raise RefusedError(f"This base's chat template cannot be read ({_first(error)}).") from error

    def render(variables: Mapping[str, Any]) -> str:
        sandbox.steps = 0
        try:
            return template.render(variables)
        except LoraChatError:
            raise
        except Exception as error:  # a template can provoke any
            raise RefusedError(
                f"This base's chat template cannot write this conversation ({_first(error)})."
            ) from error

    return render


class _Sandbox(ImmutableSandboxedEnvironment):
    """jinja2's sandbox, which ends."""

    intercepted_binops = frozenset(["*", "**"])
    steps = 0

    def counted(self, each: Iterable[Any]) -> Iterator[Any]:
        for item in each:
            self._step()
            yield item

    def call(self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        self._step()
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        sizes = [len(each) if isinstance(each, str | list | tuple) else each for each in (left, right)]
        numbers = [abs(each) for each in sizes if isinstance(each, int | float)]
        huge = max(numbers, default=0) > 64 if operator == "**" else _product(numbers) > LONGEST_TEXT
        if huge:
            raise RefusedError("This base's chat template makes a text or number without end.")
        return super().call_binop(context, operator, left, right)

    def _step(self) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise RefusedError("This base's chat template does not end: it was stopped.")


class _Generation(Extension):
    """``{% generation %}…{% endgeneration %}`` marks what the assistant wrote; here it only has to be readable."""

    tags = {"generation"}  # noqa: RUF012  # jinja2 declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _product(numbers: list[float]) -> float:
    return numbers[0] * numbers[1] if len(numbers) == 2 else 0


def _raise_exception(message: object) -> None:
    raise RefusedError(f"This base's chat template refuses the conversation: {clean_line(str(message), 200)}")


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


def _to_json(value: Any, **options: Any) -> str:
    return json.dumps(value, **({"ensure_ascii": False} | options))


def _first(error: Exception) -> str:
    return clean_line(f"{type(error).__name__}: {error}", 200)
