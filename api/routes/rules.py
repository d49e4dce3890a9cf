"""Rules and thresholds: what should alert."""

import asyncio
import json
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from analysis.preview import MAX_MS, Preview, preview
from api import changed
from api.changed import message
from api.guard import Known, Operator, Reader
from api.problems import Problem
from api.services import Services
from engine.wording import condition, worst_case_delay
from operations import control
from operations.access import Asker
from operations.rules_file import parse_rules, written
from schemas.control import RuleControl
from schemas.rules import Rule, RuleFile
from schemas.topics import CONTROL

router = APIRouter(tags=["rules"])

MAX_BYTES = 1_048_576
DAY_MS = 86_400_000
RuleName = Annotated[str, Path(min_length=1, max_length=128, examples=["cpu-busy"])]
_FILE = {
    "requestBody": {
        "required": True,
        "description": "A file of rules, as `watchkeeper rules apply` takes it.",
        "content": {
            "application/yaml": {
                "schema": {"type": "string"},
                "example": "version: 1\nrules:\n- id: cpu-busy\n  kind: threshold\n"
                "  metric: system.cpu.utilization\n  warning: 0.8\n  critical: 0.95\n  for: 2m\n",
            },
            "application/json": {"schema": {"type": "object"}},
        },
    }
}


class RuleOut(BaseModel):
    """One rule in force."""

    id: str
    version: int
    at_ms: int = Field(description="When this version was decided.")
    by: str = Field(description="Who decided it.")
    enabled: bool
    alerts_when: str
    worst_case_delay: str
    rule: dict[str, Any] = Field(description="As a file of rules has it.")


class RulesOut(BaseModel):
    """Rules by id."""

    rules: list[RuleOut]


def _out(record: RuleControl, known: dict[str, Rule]) -> RuleOut:
    rule = record.rule
    assert rule is not None
    return RuleOut(
        id=rule.id, version=record.version, at_ms=record.at_ms, by=record.by, enabled=rule.enabled,
        alerts_when=condition(rule), worst_case_delay=worst_case_delay(rule, known), rule=written(rule),
    )  # fmt: skip


def _in_force(services: Services) -> dict[str, Rule]:
    return {id_: one.rule for id_, one in services.decisions.rules.items() if one.rule is not None}


@router.get("/rules", operation_id="listRules", summary="Rules in force")
async def list_rules(services: Known, _: Reader) -> RulesOut:
    """Every rule with who decided it, when it alerts, and how late at worst."""
    known = _in_force(services)
    return RulesOut(rules=[_out(services.decisions.rules[id_], known) for id_ in sorted(known)])


@router.get("/rules/{rule}", operation_id="getRule", summary="One rule")
async def get_rule(rule: RuleName, services: Known, _: Reader) -> RuleOut:
    """A rule in force."""
    control.in_force(services.decisions.rules, rule)
    return _out(services.decisions.rules[rule], _in_force(services))


class Applied(BaseModel):
    """What applying a file changed, or would change: ids of rules."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    unchanged: list[str]


@router.post("/rules", operation_id="applyRules", summary="Put a file of rules in force", openapi_extra=_FILE)
async def apply_rules(
    request: Request,
    services: Known,
    who: Operator,
    address: changed.Address,
    prune: Annotated[bool, Query(description="Remove rules that are not in the file.")] = False,
    dry_run: Annotated[bool, Query(description="Change nothing: only tell what would change.")] = False,
) -> Applied:
    """Validated as `watchkeeper rules check` does: a file with any fault changes nothing."""
    plan = control.plan(services.decisions.rules, await _file(request), prune=prune)
    if not dry_run:
        await _carry_out(services, who, address, plan)
    return Applied(
        added=[one.id for one in plan.added], changed=[one.id for one in plan.changed], removed=list(plan.removed),
        unchanged=[one.id for one in plan.unchanged],
    )  # fmt: skip


async def _file(request: Request) -> RuleFile:
    text = b""
    async for part in request.stream():
        text += part
        if len(text) > MAX_BYTES:
            raise Problem(413, f"a file of rules has at most {MAX_BYTES} bytes", remedy="Send fewer rules at a time.")
    return await asyncio.to_thread(parse_rules, text, "body")


async def _carry_out(services: Services, who: Asker, address: str, plan: control.Plan) -> None:
    records = control.records(services.decisions.rules, plan, by=who.by, at_ms=services.now_ms())
    told = [
        changed.record(services, who, address, "rule.remove" if one.rule is None else "rule.put", one.id, one.version)
        for one in records
    ]
    versions = {one.id.removeprefix("rule/"): one.version for one in records}

    def seen() -> bool:
        known = services.decisions.rules
        return all(id_ in known and known[id_].version >= version for id_, version in versions.items())

    await services.publish([*(message(CONTROL, one.id, one) for one in records), *told], seen)


@router.delete("/rules/{rule}", operation_id="removeRule", summary="Remove a rule")
async def remove_rule(rule: RuleName, services: Known, who: Operator, address: changed.Address) -> Applied:
    """Its alerts end, withdrawn."""
    control.in_force(services.decisions.rules, rule)
    plan = control.Plan(added=(), changed=(), unchanged=(), removed=(rule,))
    await _carry_out(services, who, address, plan)
    return Applied(added=[], changed=[], removed=[rule], unchanged=[])


class Thresholds(BaseModel):
    """What is to be changed of a rule; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    warning: float | None = None
    critical: float | None = None
    duration_s: float | None = Field(default=None, ge=0, description="How long it must stay beyond.")
    enabled: bool | None = None


@router.patch("/thresholds/{rule}", operation_id="updateThresholds", summary="Change the thresholds of a rule")
async def update_thresholds(
    rule: RuleName,
    asked: Annotated[Thresholds, Body(openapi_examples={"higher": {"value": {"warning": 0.85, "critical": 0.97}}})],
    services: Known,
    who: Operator,
    address: changed.Address,
    if_match: Annotated[str, Header(description="Version that is changed; another one is refused.")] = "",
) -> RuleOut:
    """Validated as rules of a file are."""
    before = control.in_force(services.decisions.rules, rule)
    version = services.decisions.rules[rule].version
    if if_match and if_match.strip('"') != str(version):
        raise Problem(412, f"{rule} has version {version} by now, not {if_match}", remedy="Get it again, and decide.")
    given = asked.model_dump(exclude_unset=True)
    fields: dict[str, Any] = {name: given[name] for name in ("warning", "critical", "enabled") if name in given}
    if asked.duration_s is not None:
        fields["for"] = f"{round(asked.duration_s * 1000)}ms"
    unknown = [name for name in fields if name not in _names(before)]
    if unknown:
        raise Problem(422, f"a rule of kind {before.kind} has no {', '.join(unknown)}")
    file = {"version": 1, "rules": [{**written(before), **fields}]}
    plan = control.plan(services.decisions.rules, parse_rules(json.dumps(file).encode(), "body"))
    await _carry_out(services, who, address, plan)
    return _out(services.decisions.rules[rule], _in_force(services))


def _names(rule: Rule) -> set[str]:
    return {field.alias or name for name, field in type(rule).model_fields.items()}


@router.post("/rules/preview", operation_id="previewRules", summary="What rules would have done", openapi_extra=_FILE)
async def preview_rules(
    request: Request,
    services: Known,
    _: Reader,
    last_ms: Annotated[int, Query(ge=600_000, le=MAX_MS, description="How far back.")] = DAY_MS,
) -> Preview:
    """Plays the rules of a file over the past: nothing is changed. One preview runs at a time."""
    rules = (await _file(request)).rules
    if services.previewing.locked():
        raise Problem(429, "another preview runs", remedy="Try again in a few seconds.", headers={"Retry-After": "3"})
    async with services.previewing:
        now_ms = services.now_ms()
        return await asyncio.to_thread(preview, services.store, rules, now_ms - last_ms, now_ms)
