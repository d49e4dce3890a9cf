"""What `agents.runtime` uses of Faust, mode and aiokafka beyond their documented surface, pinned to their versions.

When one of these fails after an update, read the new source before repairing the test: each name stands for a behaviour
that `docs/adr/0002-faust-batch-delivery.md` explains.
"""

import inspect
import re
from collections.abc import Callable
from importlib.metadata import version

import aiokafka
import faust
import mode
import pytest
from aiokafka.consumer import group_coordinator
from aiokafka.errors import CommitFailedError
from faust.transport import conductor
from faust.transport.consumer import Consumer, ConsumerThread, Fetcher
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import ConsumerMessage
from mode.supervisors import CrashingSupervisor

from agents.faust_settings import SETTINGS
from agents.runtime import BatchConsumer, BatchTransport
from connect.kafka import METADATA_MAX_AGE_MS


@pytest.mark.parametrize(
    ("distribution", "pinned"), [("faust-streaming", "0.15.3"), ("mode-streaming", "0.7.1"), ("aiokafka", "0.14.0")]
)
def test_the_versions_are_the_ones_that_were_studied(distribution: str, pinned: str) -> None:
    assert version(distribution) == pinned


def parameters(function: Callable[..., object]) -> list[str]:
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (Consumer._drain_messages, ["self", "fetcher"]),
        (Consumer._getmany, ["self", "active_partitions", "timeout"]),
        (Consumer._get_active_partitions, ["self"]),
        (driver.Consumer._commit, ["self", "offsets"]),
        (driver.Consumer.seek_wait, ["self", "partitions"]),
        (driver.Consumer.earliest_offsets, ["self", "partitions"]),
        (driver.Consumer.highwaters, ["self", "partitions"]),
        (driver.Consumer.assignment, ["self"]),
        (driver.Consumer.highwater, ["self", "tp"]),
        (driver.AIOKafkaConsumerThread._ensure_consumer, ["self"]),
        (driver.AIOKafkaConsumerThread.commit, ["self", "offsets"]),
        (ConsumerThread.call_thread, ["self", "fun", "args", "kwargs"]),
        (aiokafka.AIOKafkaConsumer.committed, ["self", "partition"]),
        (mode.Service.wait_first, ["self", "coros", "timeout"]),
        (mode.Service.wait, ["self", "coros", "timeout"]),
        (mode.Service.add_future, ["self", "coro"]),
        (mode.Worker._stop_on_signal, ["self", "signal"]),
        (mode.Worker.on_start, ["self"]),
        (mode.Worker.on_shutdown, ["self"]),
        (mode.Worker.execute_from_commandline, ["self"]),
    ],
)
def test_the_functions_that_are_used_or_replaced_have_their_parameters(
    function: Callable[..., object], expected: list[str]
) -> None:
    assert parameters(function) == expected


@pytest.mark.parametrize(
    "attribute",
    ["flow_active", "can_resume_flow", "suspend_flow", "_buffered_partitions", "callback", "consumer_stopped_errors"],
)
def test_the_attributes_that_are_read_are_still_set_by_the_consumer(attribute: str) -> None:
    assert attribute in inspect.getsource(Consumer) + inspect.getsource(driver.Consumer)


def test_a_message_takes_its_fields_in_the_order_in_which_they_are_given() -> None:
    assert parameters(ConsumerMessage.__init__)[1:] == [
        *("topic", "partition", "offset", "timestamp", "timestamp_type", "headers", "key", "value", "checksum"),
        *("serialized_key_size", "serialized_value_size", "tp", "time_in", "time_out", "time_total", "generation_id"),
    ]


def test_only_the_drain_loop_and_the_thread_are_replaced_and_the_fetcher_calls_the_loop() -> None:
    replaced = {name for name in vars(BatchConsumer) if hasattr(driver.Consumer, name) and not name.startswith("__")}
    ours = {"logger", "_abc_impl", "_children", "diag", "abstract"}
    assert {name for name in replaced - ours if callable(getattr(driver.Consumer, name))} == {
        "_drain_messages",
        "_new_consumer_thread",
    }
    assert "consumer._drain_messages(self)" in inspect.getsource(Fetcher)
    assert BatchTransport.Consumer is BatchConsumer


def test_the_thread_is_made_as_faust_makes_its_own_and_fetches_without_a_bound_of_records() -> None:
    made = "return AIOKafkaConsumerThread(self, loop=self.loop, beacon=self.beacon)"
    assert made in inspect.getsource(driver.Consumer._new_consumer_thread)
    fetching = ["self", "consumer", "active_partitions", "timeout", "max_records"]
    assert parameters(driver.AIOKafkaConsumerThread._fetch_records) == fetching
    assert "broker_max_poll_records" not in SETTINGS
    assert faust.App("contract", **SETTINGS).conf.broker_max_poll_records is None


def test_a_refused_commit_is_told_by_its_text_which_aiokafka_still_uses() -> None:
    assert '"already rebalanced" in str(exc)' in inspect.getsource(driver.AIOKafkaConsumerThread._commit)
    joined = re.sub(r'"\s+"', "", inspect.getsource(group_coordinator.GroupCoordinator.commit_offsets))
    raised = re.search(r'CommitFailedError\(\s*"([^"]+)"', joined)
    assert raised is not None
    assert "already rebalanced" in str(CommitFailedError(raised[1]))


def test_a_fetch_returns_nothing_while_the_flow_is_stopped() -> None:
    assert "if not self.consumer.flow_active:\n            return {}" in inspect.getsource(
        driver.AIOKafkaConsumerThread._fetch_records
    )


def test_an_empty_set_of_partitions_means_all_to_aiokafka() -> None:
    from aiokafka.consumer.fetcher import Fetcher as KafkaFetcher

    assert "if partitions and tp not in partitions:" in inspect.getsource(KafkaFetcher.fetched_records)


def test_partitions_are_paused_by_the_queue_and_told_in_buffered_partitions() -> None:
    assert "on_pressure_high=on_pressure_high" in inspect.getsource(conductor)
    assert "self._buffered_partitions.add(tp)" in inspect.getsource(Consumer.on_buffer_full)


def test_the_flow_is_stopped_and_the_queues_cleared_before_the_revoked_signal() -> None:
    source = inspect.getsource(faust.App._on_partitions_revoked)
    order = [source.index(step) for step in ("consumer.stop_flow", "flow_control.clear)", "on_partitions_revoked.send")]
    assert order == sorted(order)


def test_the_generation_is_known_before_the_assigned_signal() -> None:
    source = inspect.getsource(driver.ConsumerRebalanceListener.on_partitions_assigned)
    assert source.index("consumer_generation_id = generation") < source.index("on_partitions_assigned(ensure_TPset")


def test_a_crash_of_an_agent_reaches_the_worker() -> None:
    assert SETTINGS["agent_supervisor"] == "mode.CrashingSupervisor"
    assert mode.CrashingSupervisor is CrashingSupervisor
    assert inspect.getsource(CrashingSupervisor._contribute_to_service).rstrip().endswith("pass")


def test_faust_knows_every_setting_that_it_is_given(tmp_path: object) -> None:
    app = faust.App("contract", broker="kafka://127.0.0.1:1", datadir=str(tmp_path), **SETTINGS)
    assert app.conf.stream_buffer_maxsize == SETTINGS["stream_buffer_maxsize"]
    # See tests/connect/test_assignment.py.
    assert app.conf.consumer_metadata_max_age_ms == METADATA_MAX_AGE_MS
    assert "metadata_max_age_ms=conf.consumer_metadata_max_age_ms" in inspect.getsource(driver)
    assert app.conf.broker_max_poll_interval == SETTINGS["broker_max_poll_interval"]
    assert app.conf.web_enabled is False
    assert app.conf.stream_wait_empty is False
