"""Matchers mean what they mean to Alertmanager."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.matchers import Matcher, Patterns, matches, parse_matcher

LABELS = {"alertname": "cpu-busy", "source": "web-1", "severity": "critical"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('alertname="cpu-busy"', True),
        ("alertname=cpu-busy", True),
        ('alertname="cpu"', False),
        ('alertname!="cpu"', True),
        ('source=~"web-.*"', True),
        ('source=~"web"', False),  # a pattern is held against the whole value
        ('source!~"db-.*"', True),
        (r'source=~"web\-\d"', True),
        ('source!~"web-[0-9]"', False),
        ('team=""', True),  # a label that is missing is empty
        ('team!=""', False),
        ('team=~"|a"', True),
        (' severity =~ "warning|critical" ', True),
    ],
)
def test_a_matcher_holds(text: str, expected: bool) -> None:
    assert parse_matcher(text).matches(LABELS) is expected


def test_all_matchers_must_hold() -> None:
    assert matches([parse_matcher("source=web-1"), parse_matcher("severity=critical")], LABELS)
    assert not matches([parse_matcher("source=web-1"), parse_matcher("severity=warning")], LABELS)
    assert matches([], LABELS)


@pytest.mark.parametrize("text", ["", "cpu-busy", "=x", "a", 'a="b', "a==~b c", "a=b,c=d", 'a=~"("', 'a=~"(?<x>y)\\1"'])
def test_what_is_no_matcher_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no (matcher|pattern)"):
        parse_matcher(text)


def test_a_fault_of_a_matcher_is_told_in_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"^'\(' is no pattern \(RE2\): [^\n]*$"):
        parse_matcher("source=~(")


def test_a_pattern_that_would_take_for_ever_elsewhere_takes_no_time() -> None:
    assert not parse_matcher('source=~"(a*)*(a*)*(a*)*b"').matches({"source": "a" * 256})


VALUES = st.text("ab-\né", max_size=6)
PATTERNS = st.lists(
    st.sampled_from(["", "a", "^a$", "a|b", "a.*", ".*b", "(?s).*", "(?i)A+", "[^a]*", "é?b*", r"\ba\b.*", "(?m)^b$"]),
    unique=True,
)


@given(PATTERNS, VALUES)
def test_patterns_that_are_looked_for_together_are_found_as_each_alone(texts: list[str], value: str) -> None:
    alone = [one for one in texts if Matcher(name="source", operator="=~", value=one).matches({"source": value})]
    assert sorted(Patterns(texts).of(value)) == sorted(alone)


def test_patterns_too_large_to_be_looked_for_together_are_all_found() -> None:
    texts = [f"(?:(?:a|bc|def|g{place}){{100}}){{5}}|web-{place % 10}" for place in range(100)]
    assert sorted(Patterns(texts).of("web-7")) == sorted(texts[7::10])


@given(st.text(max_size=64), st.sampled_from(["=", "!="]))
def test_a_matcher_survives_being_written_and_read(value: str, operator: str) -> None:
    matcher = Matcher.model_validate({"name": "source", "operator": operator, "value": value})
    assert parse_matcher(str(matcher)) == matcher


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError):
        Matcher.model_validate({"name": "a", "operator": "=", "value": "b", "regex": True})
