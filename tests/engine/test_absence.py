"""Why nothing comes any more: what an absence says of it."""

from collections.abc import Iterable, Mapping

from engine.trial import Given, play
from schemas.alerts import Transition
from schemas.rules import AbsenceRule, Rule, ThresholdRule

GONE = AbsenceRule(id="gone", kind="absence", metric="system.cpu.utilization", after_ms=30_000, good_windows=1)
LOAD = ThresholdRule(id="load", metric="load", warning=1000.0)
"""Looks at another metric, so that rows of it are held."""

Sends = Mapping[str, Iterable[int]]
"""By metric and source, as `metric source`, the seconds at which a sample comes."""


def told(rules: list[Rule], sends: Sends) -> list[Transition]:
    """What is told of absences."""
    probe = {"probe": "cpu", "reason": "timeout"}
    given_ = [
        Given(at_s * 1000, source, metric, "delta", probe if "probe" in metric else {}, 1)
        for (metric, source), seconds in ((key.split(), value) for key, value in sends.items())
        for at_s in seconds
    ]  # fmt: skip
    return [one for _, some in play(rules, given_, until_ms=200_000) for one in some if one.rule == "gone"]


def test_a_source_of_which_nothing_comes_is_silent() -> None:
    (change,) = told([GONE, LOAD], {"system.cpu.utilization a": range(0, 60, 10), "load a": range(0, 60, 10),
                                    "load b": range(0, 200, 10)})  # fmt: skip
    assert (change.to_state, change.reason) == ("firing", "source_silent")
    assert change.summary == "no system.cpu.utilization from a for 30 s: nothing comes from a at all"


def test_one_that_sends_other_metrics_has_ended_a_series() -> None:
    (change,) = told([GONE, LOAD], {"system.cpu.utilization a": range(0, 60, 10), "load a": range(0, 200, 10)})
    assert (change.reason, change.summary[-21:]) == ("series_ended", "a sends other metrics")


def test_a_host_whose_probe_fails_says_so() -> None:
    misses = {"watchkeeper.probe.misses a": range(60, 200, 10)}
    (change,) = told([GONE], {"system.cpu.utilization a": range(0, 60, 10), **misses})
    assert change.reason == "probe_failed"
    assert change.summary == "no system.cpu.utilization from a for 30 s: probes of a fail: cpu (timeout)"


def test_a_probe_that_failed_long_before_is_not_to_blame() -> None:
    sends = {"system.cpu.utilization a": range(0, 90, 10), "load a": range(0, 200, 10)}
    (change,) = told([GONE, LOAD], {**sends, "watchkeeper.probe.misses a": range(0, 50, 10)})
    assert change.reason == "series_ended"


def test_probes_are_not_to_blame_for_what_an_application_sends() -> None:
    gone, other = GONE.model_copy(update={"metric": "queue"}), GONE.model_copy(update={"id": "other"})
    (change,) = told([gone, other], {"queue a": range(0, 60, 10), "watchkeeper.probe.misses a": range(60, 200, 10)})
    assert change.reason == "series_ended"


def test_what_is_not_told_apart_by_its_source_is_silent_without_a_reason_and_its_return_has_none() -> None:
    all_of_it = GONE.model_copy(update={"group_by": ()})
    fired, back = told([all_of_it], {"system.cpu.utilization a": [*range(0, 60, 10), *range(150, 200, 10)]})
    assert (fired.reason, back.reason) == (None, None)
    assert fired.summary == "no system.cpu.utilization from everything for 30 s"
    by_source = told([GONE], {"system.cpu.utilization a": [*range(0, 60, 10), *range(150, 200, 10)]})
    assert [one.reason for one in by_source] == ["source_silent", None]


def test_one_that_is_no_longer_expected_ends_without_a_reason() -> None:
    soon_over = GONE.model_copy(update={"forget_after_ms": 60_000})
    fired, ended = told([soon_over], {"system.cpu.utilization a": range(0, 60, 10)})
    assert (fired.to_state, fired.reason) == ("firing", "source_silent")
    assert (ended.to_state, ended.reason) == ("ok", None)
