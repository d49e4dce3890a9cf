"""Notices in words: those that are built in, and people's own templates."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from schemas.alerts import Outcome, Severity, State, Transition
from schemas.errors import BadSettings
from schemas.notifications import Explained, Notice

_LOG = logging.getLogger(__name__)

MAX_TITLE_CHARS = 200
MAX_TEXT_CHARS = 16_000
MAX_BASE = 1e18
MAX_EXPONENT = 64
MAX_LOOPS = 2
"""So deep loops may stand in each other."""
SHOWN = 20
"""Alerts that a text tells; the rest are counted."""

_RAISED = (State.FIRING, State.RECOVERING, State.STALE)


class Words(NamedTuple):
    """A title of one line, and a text."""

    title: str
    text: str


def title(notice: Notice) -> str:
    """Such as `FIRING critical: cpu-busy on web-1 and 2 more`."""
    first, more = notice.alerts[0], len(notice.alerts) + notice.left_out - 1
    status = "FIRING" if notice.status == "firing" else "RESOLVED"
    again = ", still" if notice.repeat else ""
    others = f" and {more} more" if more else ""
    return f"{status}{again} {first.severity}: {first.rule} on {who(first)}{others}"


def text(notice: Notice) -> str:
    """A paragraph for each alert, those that fire first."""
    why = {one.alert: one for one in notice.why}
    parts = [paragraph(one, why.get(one.alert)) for one in notice.alerts[:SHOWN]]
    hidden = len(notice.alerts) + notice.left_out - len(parts)
    return "\n\n".join([*parts, *([f"... and {hidden} more alerts"] if hidden else [])])


def paragraph(alert: Transition, why: Explained | None = None) -> str:
    """What, how bad, since when, and why."""
    state = "RESOLVED" if alert.to_state is State.OK else f"{alert.to_state.upper()} {alert.severity}"
    lines = [f"{state}: {alert.summary or alert.rule}", f"since {moment(alert.episode_ms)}"]
    if alert.to_state is State.OK:
        lines[1] = f"from {moment(alert.episode_ms)} to {moment(alert.at_ms)}"
    if alert.outcome is Outcome.VALUE and alert.value is not None and alert.threshold is not None:
        lines.append(f"{alert.value:.6g} against {alert.threshold:.6g}")
    if why is not None:
        lines += _reasons(why)
    lines.append(f"watchkeeper alerts explain {alert.alert}")
    return "\n".join(lines)


def _reasons(why: Explained) -> list[str]:
    lines = [why.to_do] if why.to_do else []
    lines += [f"to blame: {one}" for one in why.blamed]
    lines += [f"changed {one}" for one in why.changes]
    lines += [f"raised {why.before}"] if why.before else []
    return [*lines, why.link] if why.link else lines


def who(alert: Transition) -> str:
    """The entity, in a few words."""
    return ", ".join(value for value in alert.entity.values() if value) or "everything"


def moment(at_ms: int) -> str:
    """A time in UTC, to the second."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


SAMPLE = Notice(
    id="0" * 32,
    receiver="sample",
    route="{}",
    group={"alertname": "sample"},
    status="firing",
    at_ms=1_767_225_600_000,
    alerts=[
        Transition(
            id="0" * 32, alert="0" * 16, rule="sample", rule_version=1, entity={"source": "web-1"}, metric="sample",
            episode_ms=1_767_225_590_000, at_ms=1_767_225_600_000, from_state=State.PENDING, to_state=State.FIRING,
            severity=Severity.CRITICAL, outcome=Outcome.VALUE, value=0.97, threshold=0.9, summary="A sample.",
        )
    ],
)  # fmt: skip
"""What templates are tried on when they are loaded."""


class _Sandbox(ImmutableSandboxedEnvironment):
    """Without texts and lists that are multiplied, and without huge powers: they would hold the notifier up."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        """Raises SecurityError."""
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if not numbers or (operator == "**" and (abs(left) > MAX_BASE or abs(right) > MAX_EXPONENT)):
            raise SecurityError(f"{operator} is for numbers only, and not for huge powers")
        return super().call_binop(context, operator, left, right)


class Wording:
    """Puts notices into words. A template that fails never holds a notice back: the built-in words are used.

    Args:
        failed: Told that a template failed.
    """

    def __init__(
        self, own_title: str | None, own_text: str | None, failed: Callable[[], object] = lambda: None
    ) -> None:
        self._title = _compiled("title", own_title)
        self._text = _compiled("text", own_text)
        self._failed = failed

    def __call__(self, notice: Notice) -> Words:
        """The words for a notice, within limits."""
        told_title = self._words(self._title, notice) or title(notice)
        told_text = self._words(self._text, notice) or text(notice)
        return Words(" ".join(told_title.split())[:MAX_TITLE_CHARS], told_text[:MAX_TEXT_CHARS])

    def _words(self, template: jinja2.Template | None, notice: Notice) -> str:
        if template is None:
            return ""
        try:
            return _rendered(template, notice)
        except Exception as error:  # noqa: BLE001  (whatever filters and macros raise: the page goes out)
            self._failed()
            _LOG.error("A template failed, the built-in words are used: %s: %s", type(error).__name__, error)
            return ""


def _compiled(name: str, source: str | None) -> jinja2.Template | None:
    """Raises BadSettings."""
    if source is None:
        return None
    environment = _Sandbox(undefined=jinja2.StrictUndefined, autoescape=False)
    # No loop but over what a notice holds.
    environment.globals.clear()
    environment.filters["moment"] = moment
    try:
        if _repeats(environment.parse(source)):
            raise BadSettings(f"template {name}: no macros, and no loop in more than one other")
        template = environment.from_string(source)
        _rendered(template, SAMPLE)
    except BadSettings:
        raise
    except jinja2.TemplateSyntaxError as error:
        raise BadSettings(f"template {name}, line {error.lineno}: {error.message}") from None
    except Exception as error:  # noqa: BLE001  (whatever filters and macros raise)
        raise BadSettings(f"template {name} fails on a sample: {error}") from None
    return template


def _repeats(node: nodes.Node, depth: int = 0) -> bool:
    """Whether it may go on for as long as to hold the notifier up: each loop in a loop takes 500 times as long."""
    if isinstance(node, nodes.Macro | nodes.CallBlock) or (isinstance(node, nodes.For) and node.recursive):
        return True
    depth += isinstance(node, nodes.For)
    return depth > MAX_LOOPS or any(_repeats(child, depth) for child in node.iter_child_nodes())


def _rendered(template: jinja2.Template, notice: Notice) -> str:
    facts: dict[str, Any] = {
        "notice": notice.model_dump(mode="json"),
        "alerts": [one.model_dump(mode="json") for one in notice.alerts],
        "title": title(notice),
        "text": text(notice),
    }
    found: list[str] = []
    size = 0
    for part in template.generate(facts):
        found.append(part)
        size += len(part)
        if size > MAX_TEXT_CHARS:
            break
    return "".join(found)
