"""`watchkeeper emit`: sends records as a producer would, and returns when Kafka has acknowledged them."""

import asyncio
import contextlib
import os
import stat
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from collectors.records import MAX_LINE, BadLine, Emitted, Emitter
from connect.config import KafkaConfig
from connect.kafka import connected
from connect.outbox import Message, Outbox
from schemas.errors import BadSettings
from schemas.topics import SAMPLES
from watchkeeper import addresses
from watchkeeper.sources import Nested, load
from watchkeeper.words import counted

Sample = tuple[str, float | None, list[str], str]

CHUNK_BYTES = 262_144
CHUNKS_AHEAD = 4
"""How much is read before Kafka has acknowledged what came before."""


def run(topic: str | None, sample: Sample | None, arguments: Nested, config: Path | None) -> int:
    """Emits one sample, or the lines of standard input; the exit code: 1 if a line was bad.

    Raises:
        BadSettings: What is to be emitted is not clear.
    """
    if (topic is None) == (sample is None):
        raise BadSettings("give either --topic and records on standard input, or --metric and --value")
    loaded = load(arguments, config=config)
    emitter = Emitter(topic or SAMPLES.name, loaded.settings.source, _now_ms)
    kafka = addresses.kafka_config(loaded)
    if sample is not None:
        asyncio.run(_send_one(kafka, emitter, sample))
        return 0
    if sys.stdin is None:
        raise BadSettings("standard input is closed: send records there, one JSON object a line")
    return asyncio.run(_send_lines(kafka, emitter, sys.stdin.buffer))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def _send_one(kafka: KafkaConfig, emitter: Emitter, sample: Sample) -> None:
    metric, value, pairs, kind = sample
    if value is None:
        raise BadSettings("--metric needs a --value")
    fields = {"metric": metric, "value": value, "kind": kind, "dimensions": dict(_pair(pair) for pair in pairs)}
    try:
        record = emitter.record({"samples": [fields]})
    except BadLine as error:
        raise BadSettings(f"this is no sample: {error}") from None
    async with connected(kafka) as client:
        await Outbox(client).deliver([Message(emitter.topic, record.key, record.value)])


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise BadSettings(f"--dimension {text!r} is not KEY=VALUE")
    return key, value


async def _send_lines(kafka: KafkaConfig, emitter: Emitter, stream: IO[bytes]) -> int:
    sent = bad = read = 0
    async with connected(kafka) as client:
        with _progress(stream) as advance:
            async for chunk in _chunks(stream):
                good, failed = _completed(emitter, chunk, read + 1)
                await Outbox(client).deliver(Message(emitter.topic, record.key, record.value) for record in good)
                sent, bad, read = sent + len(good), bad + failed, read + len(chunk)
                advance(sum(len(line) for line in chunk))
    told = f"{counted(sent, 'record')} to {emitter.topic}"
    print(told + (f", {counted(bad, 'bad line')}" if bad else ""), file=sys.stderr)
    return 1 if bad else 0


def _completed(emitter: Emitter, lines: list[bytes], first: int) -> tuple[list[Emitted], int]:
    """Records of some lines, and how many lines were bad: each of these is told at once, with its number."""
    good, bad = [], 0
    for number, line in enumerate(lines, first):
        if not line.strip():
            continue
        try:
            good.append(emitter.line(line.decode("utf-8", "replace")))
        except BadLine as error:
            bad += 1
            print(f"line {number}: {error}", file=sys.stderr)
    return good, bad


async def _chunks(stream: IO[bytes]) -> AsyncIterator[list[bytes]]:
    """Whole lines as they come, many at a time. Reads in a thread: a pipe may be silent for hours."""
    queue: asyncio.Queue[list[bytes]] = asyncio.Queue(maxsize=CHUNKS_AHEAD)
    loop = asyncio.get_running_loop()

    def read() -> None:
        rest = b""
        # An interrupted emit closes the loop while this thread still waits for input; it ends with the process.
        with contextlib.suppress(RuntimeError, CancelledError):
            while part := stream.read1(CHUNK_BYTES):  # type: ignore[attr-defined]
                *lines, rest = (rest + part).split(b"\n")
                # What makes a line too long need not be kept to tell that it is.
                rest = rest[: 4 * MAX_LINE]
                if lines:
                    asyncio.run_coroutine_threadsafe(queue.put(lines), loop).result()
            for lines in ([rest], []) if rest else ([],):
                asyncio.run_coroutine_threadsafe(queue.put(lines), loop).result()

    threading.Thread(target=read, name="stdin", daemon=True).start()
    while lines := await queue.get():
        yield lines


@contextmanager
def _progress(stream: IO[bytes]) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while a file or a pipe is read; none where a person types, or nobody watches."""
    if stream.isatty() or not sys.stderr.isatty():
        if stream.isatty():
            print("one JSON object a line; Ctrl-D ends", file=sys.stderr)
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    found = os.fstat(stream.fileno())
    total = found.st_size if stat.S_ISREG(found.st_mode) else None
    columns = (TextColumn("emitting"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("emitting", total=total)
        yield lambda count: bar.advance(task, count + 1)
