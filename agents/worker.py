"""The `process` role: one worker of the stream processor, from its start to its exit code."""

import asyncio
import gc
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from agents import own_figures
from agents.batches import Batch, Partition
from agents.config import ProcessConfig
from agents.evaluate import EvaluateAgent
from agents.metrics import Metrics
from agents.rollup import RollupAgent
from agents.runtime import Runtime, RuntimeConfig
from agents.ticks import WRITER, Ticker
from agents.watchdog import Standing, Watchdog, end_process
from connect import kafka, offsets
from connect.admin import wait_until_ready
from connect.lag import LagWatch
from connect.outbox import Outbox
from connect.publisher import Publisher
from connect.telemetry import Figures, Telemetry
from connect.topic_ids import topic_epochs, watch_epochs
from engine.lag import figures
from schemas.errors import NotDrained
from schemas.topics import ALERT_STATES, INPUTS, ROLLUPS

__all__ = ["ProcessConfig", "process"]

_LOG = logging.getLogger(__name__)

READY_S = 30.0

GC_THRESHOLDS = (100_000, 20, 20)
"""A batch is tens of thousands of objects, none of them in a cycle: looking for cycles 700 objects later took a fifth
of the worker's time."""

GC_EVERY_S = 15.0
"""So that cycles of a worker at rest, which makes few objects, do not wait for hours."""

LOOK_S = 0.05
EPOCHS_EVERY_S = 5.0
"""How soon a topic that was deleted and created again is noticed."""

OWN_STOP_S = 0.5
"""How long stopping may wait for figures of our own."""

CLOSING_S = 5.0
"""How long the rest may take when everything was published, or could not be in time."""

_INPUTS = tuple(topic.name for topic in INPUTS)


def process(config: ProcessConfig, telemetry: Telemetry) -> int:
    """Runs one worker until SIGINT, SIGTERM or a fault; its exit code, 0 only after an orderly stop.

    It joins the consumer group, folds the partitions that it is assigned, and evaluates the rules of the partitions of
    `alerts.state` that it is assigned. Nothing is lost whatever ends it: see `agents.rollup` and `agents.evaluate`.

    Raises:
        BrokerUnavailable: When Kafka is not there at the start.
        BadSettings: When a topic is not.
        NotDrained: It was to read to the end before it stops (`ProcessConfig.drain`), and did not.
    """
    for noisy in ("faust", "mode", "aiokafka"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    epochs = asyncio.run(_epochs(config))
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    with TemporaryDirectory(prefix="watchkeeper-") as folder:
        runtime = Runtime(
            RuntimeConfig(
                kafka=config.kafka,
                group=config.group,
                data_dir=config.data_dir or Path(folder),
                session_timeout_s=config.session_timeout_s,
                heartbeat_s=config.heartbeat_s,
            )
        )
        worker = _Worker(config, runtime, telemetry, epochs)
        code = runtime.run(worker)
    if code == 0 and config.drain and not worker.drained:
        raise NotDrained("not everything that was sent is processed; the next worker goes on")
    return code


async def _epochs(config: ProcessConfig) -> dict[str, str]:
    await wait_until_ready(config.kafka, READY_S)
    topics = (*_INPUTS, ROLLUPS.name)
    return await topic_epochs(config.kafka, topics, fixed=config.epoch)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def _collect_garbage() -> None:
    while True:
        await asyncio.sleep(GC_EVERY_S)
        gc.collect()


class _Worker:
    """What runs around the app: the producer, the agents, the ticks, the watchdog, and the order of stopping."""

    def __init__(
        self, config: ProcessConfig, runtime: Runtime, telemetry: Telemetry, epochs: Mapping[str, str]
    ) -> None:
        self._config = config
        self._runtime = runtime
        self._telemetry = telemetry
        self._epochs = epochs
        self._metrics = Metrics(telemetry.registry)
        self._watchdog = Watchdog(
            patience_s=config.watchdog_s,
            flowing=lambda: runtime.flowing,
            standings=self._standings,
            die=end_process,
        )
        self._own = self._new_own_figures(config) if config.source else None
        self.drained = False
        """Whether everything was published that was to be before the end."""
        runtime.agent("rollup", _INPUTS, self._fold)
        runtime.agent("evaluate", [ALERT_STATES.name], self._restore)
        runtime.on_rebalance(assigned=self._assigned, revoked=self._revoked)

    def _new_own_figures(self, config: ProcessConfig) -> own_figures.OwnFigures:
        return own_figures.OwnFigures(
            Publisher(config.kafka, source=config.source, clock=_now_ms),
            source=config.source,
            read=self._own_figures,
            clock_ms=_now_ms,
        )

    async def opening(self) -> None:
        self._producer = kafka.producer(self._config.kafka)
        await self._producer.start()
        outbox = Outbox(self._producer)
        counts = {
            topic: len(await self._producer.partitions_for(topic))
            for topic in (*_INPUTS, ROLLUPS.name, ALERT_STATES.name)
        }
        self._rollup = RollupAgent(
            self._config,
            group=self._runtime,
            outbox=outbox,
            epochs={topic: self._epochs[topic] for topic in _INPUTS},
            marks_to=range(counts[ROLLUPS.name]),
            metrics=self._metrics,
        )
        self._evaluate = EvaluateAgent(
            self._config,
            outbox=outbox,
            metrics=self._metrics,
            seek=self._runtime.seek,
            inputs=frozenset((topic, number) for topic in _INPUTS for number in range(counts[topic])),
            epoch=self._epochs[ROLLUPS.name],
            partitions=counts[ALERT_STATES.name],
        )
        places = self._rollup.places
        self._lag = LagWatch(places=places, ends=lambda: self._runtime.ends(places()))
        self._metrics.lag(lambda: self._lag.lag)
        ticker = Ticker(
            outbox,
            partitions={topic: counts[topic] for topic in _INPUTS},
            epochs=self._epochs,
            owned=lambda: WRITER in (self._runtime.assigned or ()),
            clock_ms=_now_ms,
            metrics=self._metrics,
        )
        self._runtime.spawn(self._rollup.publish_early())
        self._runtime.spawn(self._evaluate.run())
        self._runtime.spawn(self._lag.run())
        self._runtime.spawn(_collect_garbage())
        if not self._config.epoch:
            self._runtime.spawn(watch_epochs(self._config.kafka, self._epochs, every_s=EPOCHS_EVERY_S))
        if self._config.ticks:
            self._runtime.spawn(ticker.run())
        if self._own is not None:
            self._runtime.spawn(self._own.run())
        self._telemetry.show(self._figures)
        self._watchdog.start()

    async def draining(self) -> None:
        # What Faust and the Kafka clients do at their ends waits for the broker, which may be gone.
        self._watchdog.end_within(self._config.deadline_s + CLOSING_S)
        try:
            async with asyncio.timeout(self._config.deadline_s):
                if self._own is not None:
                    await self._own.stop(OWN_STOP_S)
                if self._config.drain:
                    await self._drain()
                await self._rollup.close()
                self.drained = True
        except TimeoutError:
            _LOG.warning(
                "Not everything was published within %g s; the next worker does it again", self._config.deadline_s
            )

    async def _drain(self) -> None:
        """Reads the inputs up to where they end now. Ticks go on until then: they close the windows."""
        while self._runtime.assigned is None:  # noqa: ASYNC110  (Faust tells it to nobody who waits)
            await asyncio.sleep(LOOK_S)
        ends = await offsets.end_offsets(self._config.kafka, _INPUTS)
        mine = self._runtime.assigned or frozenset()
        await self._rollup.reach(
            {name: end for (topic, number), end in ends.items() if (name := Partition(topic, number)) in mine}
        )
        await self._rollup.flush()
        ends = await offsets.end_offsets(self._config.kafka, [ROLLUPS.name])
        await self._evaluate.reach({number: end for (_, number), end in ends.items()})

    async def closing(self) -> None:
        self._watchdog.end_within(CLOSING_S)
        if self._own is not None:
            await self._own.stop(0.0)
        await kafka.close(self._producer)

    async def _fold(self, batch: Batch) -> None:
        await self._rollup.take(batch)

    async def _restore(self, batch: Batch) -> None:
        await self._evaluate.take(batch)

    async def _assigned(self, partitions: frozenset[Partition]) -> None:
        self._metrics.rebalances.inc()
        _LOG.info("Assigned: %s", ", ".join(f"{topic}/{number}" for topic, number in sorted(partitions)) or "nothing")
        self._runtime.spawn(self._evaluate.assigned(partitions))

    async def _revoked(self) -> None:
        await self._evaluate.revoked()
        await self._rollup.revoked()

    def _standings(self) -> dict[str, Standing]:
        return {f"{topic}/{number}": standing for (topic, number), standing in self._rollup.standings().items()}

    def _own_figures(self) -> own_figures.Figures:
        return own_figures.Figures(
            deadletters_total={topic: self._rollup.deadletters_total[topic] for topic in _INPUTS},
            lag_records={partition: standing.lag for partition, standing in self._rollup.standings().items()},
        )

    def _figures(self) -> Figures:
        standings = self._standings()
        return {
            "healthy": self._runtime.flowing,
            "assigned": len(self._runtime.assigned or ()),
            **figures(self._lag.lag),
            "lag_records": sum(standing.lag for standing in standings.values()),
            "samples_total": self._rollup.samples_total,
            "firing": len(self._evaluate.firing),
            "deadletters_total": self._rollup.deadletters_total.total(),
            "watermark_ms": self._rollup.watermark_ms(),
        }
