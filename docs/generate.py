"""Writes what follows from the code into the documents; `--check` fails where one of them has drifted.

Generated are the JSON Schemas and the AsyncAPI document in `docs/contracts/`, and in every document what stands between
`<!-- generated:NAME -->` and `<!-- /generated -->`.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = ROOT / "docs" / "contracts"

sys.path.insert(0, str(ROOT))

from api.app import application  # noqa: E402
from api.listing import routes  # noqa: E402
from benchmarks import beside, page  # noqa: E402  (after the path)
from schemas.asyncapi import PARTIES, asyncapi, json_schemas, models, record_name  # noqa: E402
from schemas.catalogue import CATALOGUE  # noqa: E402
from schemas.deadletters import MAX_KEPT_BYTES  # noqa: E402
from schemas.dimensions import MAX_DIMENSIONS, MAX_NAME_CHARS, MAX_VALUE_CHARS  # noqa: E402
from schemas.records import MAX_RECORD_BYTES  # noqa: E402
from schemas.reference import FUTURE_BOUND_MS, PAST_BOUND_MS  # noqa: E402
from schemas.routes import RouteSettings  # noqa: E402
from schemas.rule_base import WINDOW_MS, BaseRule, JudgedRule, MetricRule  # noqa: E402
from schemas.rules import Rule  # noqa: E402
from schemas.samples import MAX_BUCKETS, MAX_SAMPLES  # noqa: E402
from schemas.topics import TOPICS, Topic  # noqa: E402
from sinks.notify.receivers.settings import (  # noqa: E402
    AlertmanagerSettings,
    AppriseSettings,
    EmailSettings,
    PagerDutySettings,
    SlackSettings,
    WebhookSettings,
)
from tests.connect.brokers import ABILITIES  # noqa: E402
from watchkeeper.sections import ProcessSettings  # noqa: E402
from watchkeeper.settings import Settings  # noqa: E402
from watchkeeper.sources import fields, variable  # noqa: E402

_BLOCK = re.compile(r"(<!-- generated:(?P<name>[a-z-]+) -->\n).*?(<!-- /generated -->)", re.DOTALL)


_FACTORIES = {"data_dir": "the user's data folder", "source": "the host's name"}
"""Defaults that depend on the machine, in words."""


def days(milliseconds: int | None) -> str:
    """Retention in words."""
    return "newest per key" if milliseconds is None else f"{milliseconds // 86_400_000} days"


def topics_table(*, schemas_at: str) -> str:
    """One row for each topic.

    Args:
        schemas_at: Path from the document to the folder of the JSON Schemas.
    """
    head = "| topic | key | value | partitions | kept | written by | read by |\n|---|---|---|---|---|---|---|\n"
    return head + "".join(_topic_row(topic, schemas_at) for topic in TOPICS)


def _topic_row(topic: Topic, schemas_at: str) -> str:
    parties = PARTIES[topic.name]
    names = [record_name(topic, model) for model in models(topic)]
    links = ", ".join(f"[`{name}`]({schemas_at}/{name}.schema.json)" for name in names)
    cells = (
        f"`{topic.name}`",
        topic.key,
        f"{topic.title} {links}",
        str(topic.partitions),
        days(topic.retention_ms),
        parties.written_by,
        parties.read_by,
    )
    return f"| {' | '.join(cells)} |\n"


def brokers_table() -> str:
    """What the brokers that `up` starts do, as the tests hold it against them."""
    head = "| | Tansu | Apache Kafka |\n|---|---|---|\n"
    answers = {True: "yes", False: "no"}
    return head + "".join(
        f"| {ability.title} | {answers[ability.tansu]} | {answers[ability.kafka]} |\n" for ability in ABILITIES
    )


def benchmarks_table() -> str:
    """The worker beside others, from the published benchmarks."""
    shown = beside.table(page.figures(page.kept()))
    return page.markdown(shown.headings, shown.rows) if shown.rows else "`make bench` writes this table.\n"


def limits_table() -> str:
    """Every limit that a user of the contracts meets, from the constants that enforce it."""
    process = ProcessSettings.model_fields
    seconds = {name: process[name].default / 1000 for name in ("lateness_ms", "segment_ms", "skew_bound_ms")}
    rows = {
        "Length of a window": f"{WINDOW_MS / 1000:g} s",
        "Lateness that a window waits for": f"{seconds['lateness_ms']:g} s (`process.lateness_ms`)",
        "Length of a segment": f"{seconds['segment_ms']:g} s (`process.segment_ms`)",
        "Horizon of duplicates": f"the segment and {process['horizon_segments'].default} before it"
        " (`process.horizon_segments`)",
        "Clock error that is not corrected": f"up to {seconds['skew_bound_ms']:g} s (`process.skew_bound_ms`)",
        "Time of a record, before its sending": f"up to {days(PAST_BOUND_MS)}",
        "Time of a record, after its sending": f"up to {FUTURE_BOUND_MS / 1000:g} s",
        "Size of a record": f"{MAX_RECORD_BYTES} bytes",
        "Samples in a record": f"{MAX_SAMPLES}",
        "Dimensions of a sample": f"{MAX_DIMENSIONS}",
        "Dimension's name and value": f"{MAX_NAME_CHARS} and {MAX_VALUE_CHARS} characters",
        "Buckets of a sketch": f"{MAX_BUCKETS} on each side",
        "Bytes that a dead letter keeps": f"the first {MAX_KEPT_BYTES}, with length and SHA-256 of all",
    }
    return "| | |\n|---|---|\n" + "".join(f"| {name} | {limit} |\n" for name, limit in rows.items())


def settings_table() -> str:
    """One row for each setting, those of one section together."""
    head = "| setting | variable | default | |\n|---|---|---|---|\n"
    return head + "".join(
        f"| `{'.'.join(name)}` | `{variable(name)}` | {_default(name, field)} | {field.description} |\n"
        for name, field in fields(Settings)
    )


def _default(name: tuple[str, ...], field: FieldInfo) -> str:
    if name[-1] in _FACTORIES:
        return _FACTORIES[name[-1]]
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, SecretStr) or value in ("", {}, None):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def metrics_table() -> str:
    """One row for each metric of the catalogue."""
    head = "| metric | unit | kind | dimensions | |\n|---|---|---|---|---|\n"
    return head + "".join(
        f"| `{metric.name}` | {metric.unit} | {metric.kind} | {', '.join(f'`{name}`' for name in metric.dimensions)}"
        f" | {metric.description} |\n"
        for metric in CATALOGUE
    )


def rule_fields(model: type[BaseModel], *, but: Iterable[str] = ()) -> str:
    """One row for each field of a rule, under the name that files use.

    Args:
        but: Fields that another table holds.
    """
    return file_fields(model, [name for name in model.model_fields if name not in but])


def kind_tables() -> dict[str, str]:
    """By the name of its block, the table of each kind of rule: the fields that only it has."""
    found = {}
    for model in get_args(get_args(Rule)[0]):
        (kind,) = get_args(model.model_fields["kind"].annotation)
        shared = JudgedRule if issubclass(model, JudgedRule) else MetricRule
        found[f"{kind.replace('_', '-')}-fields"] = rule_fields(model, but=shared.model_fields)
    return found


def receiver_fields(model: type[BaseModel]) -> str:
    """One row for each field that only this kind of receiver has."""
    shared = WebhookSettings.model_fields.keys() & EmailSettings.model_fields.keys()
    return file_fields(model, [name for name in model.model_fields if name not in shared])


def file_fields(model: type[BaseModel], names: Iterable[str]) -> str:
    """One row for each of some fields of a file."""
    head = "| field | default | |\n|---|---|---|\n"
    some = ((name, model.model_fields[name]) for name in names)
    return head + "".join(
        f"| `{field.alias or name}` | {_rule_default(field)} | {field.description} |\n" for name, field in some
    )


def _rule_default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value in ("", None, {}, [], ()) or (isinstance(value, tuple) and isinstance(value[0], BaseModel)):
        return ""
    if isinstance(value, SecretStr):
        return f"`{value.get_secret_value()}`"
    if field.alias is not None and not isinstance(value, bool):
        return f"`{value // 1000}s`"
    return f"`{json.dumps(value)}`"


def decisions_table() -> str:
    """One row for each decision, from its heading and its status."""
    head = "| decision | status |\n|---|---|\n"
    return head + "".join(map(_decision_row, sorted((ROOT / "docs" / "adr").glob("0*.md"))))


def _decision_row(path: Path) -> str:
    text = path.read_text()
    title = text.partition("\n")[0].removeprefix("# ")
    status = re.search(r"^Status: (.+)$", text, flags=re.MULTILINE)
    return f"| [{title}]({path.name}) | {status[1] if status else 'accepted'} |\n"


def version() -> str:
    """Version of the program, as `pyproject.toml` states it."""
    text = (ROOT / "pyproject.toml").read_text()
    found: str = tomllib.loads(text)["project"]["version"]
    return found


def with_blocks(text: str, blocks: dict[str, str]) -> str:
    """The text with its generated blocks replaced.

    Raises:
        KeyError: A block of the text has a name that nothing generates.
    """
    return _BLOCK.sub(lambda match: f"{match[1]}{blocks[match['name']]}{match[3]}", text)


def documents() -> dict[Path, str]:
    """Every generated file with what must stand in it."""
    wanted = {CONTRACTS / f"{name}.schema.json": _json(schema) for name, schema in json_schemas().items()}
    wanted[CONTRACTS / "asyncapi.json"] = _json(asyncapi(version()))
    wanted[CONTRACTS / "openapi.json"] = _json(openapi := application(version()).openapi())
    blocks = {
        "topics": topics_table(schemas_at="docs/contracts"),
        "contracts": topics_table(schemas_at="."),
        "settings": settings_table(),
        "metrics": metrics_table(),
        "brokers": brokers_table(),
        "benchmarks": benchmarks_table(),
        "limits": limits_table(),
        "decisions": decisions_table(),
        "rule-fields": rule_fields(BaseRule),
        "metric-fields": rule_fields(MetricRule, but=BaseRule.model_fields),
        "judged-fields": rule_fields(JudgedRule, but=MetricRule.model_fields),
        **kind_tables(),
        "route-fields": file_fields(RouteSettings, RouteSettings.model_fields),
        "receiver-fields": file_fields(WebhookSettings, ("name", "fallback", "send_resolved", "timeout_s", "at_once")),
        "webhook-fields": receiver_fields(WebhookSettings),
        "alertmanager-fields": receiver_fields(AlertmanagerSettings),
        "email-fields": receiver_fields(EmailSettings),
        "slack-fields": receiver_fields(SlackSettings),
        "pagerduty-fields": receiver_fields(PagerDutySettings),
        "api-routes": page.markdown(("path", "operation", ""), list(routes(openapi))),
        "apprise-fields": receiver_fields(AppriseSettings),
    }
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))):
        wanted[path] = with_blocks(path.read_text(), blocks)
    return wanted


def drift() -> list[str]:
    """What differs between the files and the code, one sentence each; empty when all is well."""
    wanted = documents()
    found = [
        f"{path.relative_to(ROOT)} {'differs' if path.exists() else 'is missing'}"
        for path, text in wanted.items()
        if not path.exists() or path.read_text() != text
    ]
    return found + [f"{path.relative_to(ROOT)} is left over" for path in _left_over(wanted)]


def write() -> None:
    """Writes what differs, and removes what is left over."""
    wanted = documents()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in _left_over(wanted):
        path.unlink()


def main(arguments: list[str]) -> int:
    """Exit code of the script."""
    if arguments not in ([], ["--check"]):
        print("usage: python docs/generate.py [--check]", file=sys.stderr)
        return 2
    found = drift()
    if not arguments:
        write()
        print("\n".join(found) if found else "nothing to do")
        return 0
    for sentence in found:
        print(f"{sentence}: run make docs and commit the result", file=sys.stderr)
    return 1 if found else 0


def _left_over(wanted: dict[Path, str]) -> list[Path]:
    return sorted(path for path in CONTRACTS.glob("*") if path not in wanted)


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
