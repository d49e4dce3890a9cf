"""A running API: real HTTP, a real broker, a real ClickHouse."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from api.serve import ServeConfig, serve
from connect.clickhouse import Store
from connect.clock import now_ms
from connect.config import ClickHouseConfig, KafkaConfig
from connect.telemetry import Figures, Telemetry
from operations import access
from operations.access import LASTS_MS
from schemas.access import SCOPES, ApiKey, Scope

READY_S = 30.0


class Told(Telemetry):
    """Telemetry that serves nothing, and tells when there is something to show."""

    def __init__(self) -> None:
        super().__init__("serve", port=None)
        self.shown = threading.Event()

    def show(self, figures: Callable[[], Figures]) -> None:
        super().show(figures)
        self.shown.set()

    def figure(self, name: str) -> int:
        return int(self._figures()[name] or 0)


@dataclass
class Api:
    """The API, and a key for each scope."""

    url: str
    store: Store
    kafka: KafkaConfig
    keys: Mapping[str, str]
    told: Told
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=f"{self.url}/api/v1", timeout=30)

    def ask(self, method: str, path: str, *, scope: str = "all", **options: Any) -> httpx.Response:
        """A request with the key of a scope; `all` may do everything."""
        headers = {"Authorization": f"Bearer {self.keys[scope]}", **options.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("POST", path, **options)


def made_key(kafka: KafkaConfig, name: str, *scopes: Scope, lasts_ms: int = LASTS_MS) -> tuple[ApiKey, str]:
    """A key that is published."""
    at_ms = now_ms()
    key, secret = access.new_key(name, scopes, by="test", at_ms=at_ms, expires_ms=at_ms + lasts_ms)
    asyncio.run(access.publish(kafka, [key]))
    return key, secret.get_secret_value()


@contextmanager
def running(kafka: KafkaConfig, clickhouse: ClickHouseConfig, **options: Any) -> Iterator[Api]:
    """One API in a thread of its own. Topics and tables are there."""
    keys: dict[str, str] = {scope: made_key(kafka, scope, scope)[1] for scope in SCOPES}
    keys["all"] = made_key(kafka, "all", *SCOPES)[1]
    told, ended = Told(), threading.Event()
    failed: list[BaseException] = []
    stops: list[Callable[[], object]] = []

    async def run() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        stops.append(lambda: loop.call_soon_threadsafe(stop.set))
        config = ServeConfig(kafka=kafka, clickhouse=clickhouse, version="1.2.3", **options)
        await serve(config, told, stop)

    def thread() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001  (told to the test)
            failed.append(error)
        ended.set()
        told.shown.set()

    threading.Thread(target=thread, daemon=True).start()
    assert told.shown.wait(READY_S), "it did not get ready"
    if failed:
        raise failed[0]
    store = Store(clickhouse)
    api = Api(f"http://127.0.0.1:{told.figure('port')}", store, kafka, keys, told)
    try:
        yield api
    finally:
        api.client.close()
        store.close()
        stops[0]()
        assert ended.wait(READY_S), "it did not stop"
    if failed:
        raise failed[0]


def until(condition: Callable[[], bool], *, within_s: float = 15.0) -> None:
    """Waits for a condition.

    Raises:
        AssertionError: It did not come true in time.
    """
    end_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end_s, "it did not come true in time"
        time.sleep(0.02)
