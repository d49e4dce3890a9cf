"""`watchkeeper deadletters`: records that could not be used, and sending them again."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from connect.clickhouse import Store
from connect.clock import now_ms
from engine.redrive import Fate, Letter, Verdict
from schemas.errors import BadSettings, Reason
from schemas.topics import BY_NAME
from sinks.clickhouse import letters
from sinks.clickhouse.letters import Selection
from watchkeeper import addresses
from watchkeeper.bars import bar
from watchkeeper.commands.output import json_lines, table
from watchkeeper.redrive import RedriveConfig, Tell, redriver
from watchkeeper.sources import Loaded, Nested, load
from watchkeeper.times import range_ms
from watchkeeper.whoami import whoami
from watchkeeper.words import counted, moment

SHOWN = 50
"""Letters that a redrive tells one by one; of more it tells how many."""

_COLUMNS = (
    *("refused_ms", "topic", "partition", "offset", "reasons", "details", "value_bytes", "refused_by", "epoch"),
    *("redriven_ms", "redriven_by"),
)
_SQL = """
SELECT toUnixTimestamp64Milli(refused_at), topic, partition, offset, reasons, details, value_bytes, refused_by, epoch,
    if(redriven_at IS NULL, NULL, toUnixTimestamp64Milli(assumeNotNull(redriven_at))), redriven_by
FROM watchkeeper.deadletters ORDER BY refused_at DESC, topic, partition, offset DESC LIMIT {limit:UInt32}
"""


def show(arguments: Nested, config: Path | None, *, limit: int, as_json: bool) -> None:
    """Prints dead letters, the newest first."""
    store = Store(addresses.clickhouse_config(load(arguments, config=config)))
    found = [dict(zip(_COLUMNS, row, strict=True)) for row in store.rows(_SQL, {"limit": limit})]
    if as_json:
        json_lines(found)
        return
    rows = [
        (
            moment(letter["refused_ms"]),
            f"{letter['topic']}-{letter['partition']}-{letter['offset']}",
            ", ".join(dict.fromkeys(letter["reasons"])),
            "; ".join(letter["details"][:3]),
            f"{letter['value_bytes']} bytes",
            letter["refused_by"],
            "" if letter["redriven_ms"] is None else f"{moment(letter['redriven_ms'])}, {letter['redriven_by']}",
        )
        for letter in found
    ]
    titles = ("refused", "record", "reasons", "details", "size", "refused by", "sent again")
    table(titles, rows, empty="there are no dead letters")


def selection(topic: str, reason: str, *, since: str, until: str, ids: Sequence[str]) -> Selection:
    """Which letters are meant.

    Raises:
        BadSettings: There is no such topic, reason or range.
    """
    if topic and topic not in BY_NAME:
        raise BadSettings(f"--topic {topic} is none of {', '.join(BY_NAME)}")
    if reason and reason not in list(Reason):
        raise BadSettings(f"--reason {reason} is none of {', '.join(Reason)}")
    from_ms, to_ms = range_ms(since, until, now_ms=now_ms())
    return Selection(topic=topic, reason=reason, from_ms=from_ms, to_ms=to_ms, ids=ids)


def redrive(arguments: Nested, config: Path | None, chosen: Selection, *, yes: bool) -> int:
    """Shows what would be sent again, and sends it when it is told to; the exit code: 1 if a letter is refused.

    Raises:
        BrokerUnavailable: Kafka is away.
        StoreUnavailable: ClickHouse is away.
    """
    loaded = load(arguments, config=config)
    store = Store(addresses.clickhouse_config(loaded))
    return asyncio.run(_redrive(_config(loaded), store, chosen, yes=yes))


def _config(loaded: Loaded) -> RedriveConfig:
    settings = loaded.settings
    return RedriveConfig(
        kafka=addresses.kafka_config(loaded),
        epoch=addresses.epoch(loaded),
        sink_group=settings.sink.group,
        skew_bound_ms=settings.process.skew_bound_ms,
        by=whoami(),
    )


async def _redrive(config: RedriveConfig, store: Store, chosen: Selection, *, yes: bool) -> int:
    total = letters.count(store, chosen)
    async with redriver(config, store) as driver:
        if not yes:
            told = _Told()
            driver.preview(chosen, told.note)
            told.show()
            if not told.fates[Fate.SEND] + told.fates[Fate.LOOK] or not _confirmed():
                print("nothing was sent" + ("" if sys.stdin.isatty() else ": this was a preview; --yes sends"))
                return 1 if told.fates[Fate.REFUSED] else 0
        told = _Told()
        with bar("sending", total) as advance:
            await driver.carry_out(chosen, told.noting(advance))
    told.show()
    sent = told.fates[Fate.SEND] + told.fates[Fate.LOOK]
    print(f"{counted(sent, 'record')} sent")
    return 1 if told.fates[Fate.REFUSED] else 0


def _confirmed() -> bool:
    return sys.stdin.isatty() and input("Send them? [y/N] ").strip().lower() in ("y", "yes")


class _Told:
    """What became of letters, in few words."""

    def __init__(self) -> None:
        self.fates: Counter[Fate] = Counter()
        self._rows: list[tuple[str, str, str, str]] = []

    def note(self, letter: Letter, verdict: Verdict) -> None:
        """Takes one in."""
        self.fates[verdict.fate] += 1
        topic, _, partition, offset = letter.place
        if len(self._rows) < SHOWN:
            size = f"{letter.value_bytes} bytes"
            self._rows.append((f"{topic}-{partition}-{offset}", size, verdict.fate.value, verdict.why))

    def noting(self, advance: Callable[[float], None]) -> Tell:
        """The same, and a bar goes on."""

        def note(letter: Letter, verdict: Verdict) -> None:
            self.note(letter, verdict)
            advance(self.fates.total())

        return note

    def show(self) -> None:
        """Prints it."""
        table(("record", "size", "so", "because"), self._rows, empty="there are no such dead letters")
        more = self.fates.total() - len(self._rows)
        if more:
            print(f"and {more} more")
