"""Alertmanager's HTTP API v2, served: Prometheus posts alerts to us, and `amtool` reads and silences them.

On loopback, off unless a port is set. Only the notifier that works serves it. Of the API there is what those two need:
alerts, silences, status and receivers.
"""

import asyncio
import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import uuid4

from aiohttp import web
from pydantic import ValidationError

from engine.external_alerts import RESOLVE_TIMEOUT_MS, Decided, ExternalAlerts, Posted, TooMany
from schemas.alerts import Transition
from schemas.control import Silence
from schemas.matchers import Matcher, labels_of, matches, parse_matcher
from sinks.notify.api_shapes import ALERTS, PostedSilence, matcher_of, millis, silence_shape, text_of

MAX_BODY_BYTES = 4_194_304
END_S = 1.0
"""How often is looked for alerts whose end has come."""

_ID = re.compile(r"[a-z0-9-]{1,64}")


class Standing(Protocol):
    """What the notifier knows, and how it publishes."""

    def raised(self) -> Sequence[Transition]:
        """Of every alert that is raised the newest transition."""

    def holders(self, transition: Transition, at_ms: int) -> tuple[list[str], list[str]]:
        """Ids of what silences it, and alerts that explain it."""

    def silences(self) -> Sequence[Silence]:
        """Every silence that is known."""

    async def publish(self, transitions: Sequence[Transition]) -> None:
        """Returns when Kafka has them."""

    async def decide(self, silence: Silence) -> None:
        """Returns when Kafka has it."""


class ApiV2:
    """The server.

    Args:
        alerts: Those that others raise; all of the past is restored.
        receivers: Names.
        now_ms: The clock.
    """

    def __init__(
        self, standing: Standing, alerts: ExternalAlerts, receivers: Sequence[str], now_ms: Callable[[], int]
    ) -> None:
        self._standing = standing
        self._alerts = alerts
        self._receivers = receivers
        self._now_ms = now_ms
        self._one = asyncio.Lock()
        """Decisions are published in the order in which they are made."""
        self._began_ms = now_ms()
        self.port = 0

    async def run(self, port: int) -> None:
        """Serves until it is cancelled. Raises OSError if the port is taken."""
        runner = web.AppRunner(self._app(), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            self.port = runner.addresses[0][1]
            while True:
                await asyncio.sleep(END_S)
                async with self._one:
                    await self._tell(self._alerts.ended(self._now_ms()))
        finally:
            await runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_from_here, _refusals])
        routes: list[tuple[str, str, Callable[[web.Request], Awaitable[web.StreamResponse]]]] = [
            ("GET", "/alerts", self._list_alerts),
            ("POST", "/alerts", self._post_alerts),
            ("GET", "/silences", self._list_silences),
            ("POST", "/silences", self._post_silence),
            ("GET", "/silence/{id}", self._get_silence),
            ("DELETE", "/silence/{id}", self._expire_silence),
            ("GET", "/status", self._status),
            ("GET", "/receivers", self._list_receivers),
        ]
        for method, path, handler in routes:
            app.router.add_route(method, f"/api/v2{path}", handler)
        return app

    async def _post_alerts(self, request: web.Request) -> web.Response:
        posted = [
            Posted(
                # An empty label is one that is not there.
                {name: value for name, value in one.labels.items() if value},
                one.annotations.get("summary") or one.annotations.get("description", ""),
                millis(one.starts_at),
                millis(one.ends_at),
            )
            for one in ALERTS.validate_json(await request.read())
        ]
        async with self._one:
            await self._tell(self._alerts.posted(posted, self._now_ms()))
        return web.Response()

    async def _tell(self, decided: Sequence[Decided]) -> None:
        await self._standing.publish([one.newest for one in decided if one.news])
        self._alerts.told(decided)

    async def _list_alerts(self, request: web.Request) -> web.Response:
        wanted, at_ms, listed = _filters(request), self._now_ms(), []
        for transition in self._standing.raised():
            if not matches(wanted, labels_of(transition)):
                continue
            silenced, inhibited = self._standing.holders(transition, at_ms)
            hidden = (silenced and not _asked(request, "silenced")) or (inhibited and not _asked(request, "inhibited"))
            if hidden or not (silenced or inhibited or _asked(request, "active")):
                continue
            listed.append(self._alert(transition, silenced, inhibited, at_ms))
        return web.json_response(listed)

    def _alert(
        self, transition: Transition, silenced: list[str], inhibited: list[str], at_ms: int
    ) -> Mapping[str, object]:
        return {
            "annotations": {"summary": transition.summary},
            "endsAt": text_of(at_ms + RESOLVE_TIMEOUT_MS),
            "fingerprint": transition.alert,
            "receivers": [{"name": name} for name in self._receivers],
            "startsAt": text_of(transition.episode_ms),
            "status": {
                "inhibitedBy": inhibited,
                "silencedBy": [one.removeprefix("silence/") for one in silenced],
                "state": "suppressed" if silenced or inhibited else "active",
            },
            "updatedAt": text_of(transition.at_ms),
            "labels": labels_of(transition),
        }

    async def _list_silences(self, request: web.Request) -> web.Response:
        wanted, at_ms = _filters(request), self._now_ms()
        named = [(one, {matcher.name: matcher.value for matcher in one.matchers}) for one in self._standing.silences()]
        return web.json_response([silence_shape(one, at_ms) for one, labels in named if matches(wanted, labels)])

    async def _get_silence(self, request: web.Request) -> web.Response:
        return web.json_response(silence_shape(self._known(request.match_info["id"]), self._now_ms()))

    async def _post_silence(self, request: web.Request) -> web.Response:
        body = PostedSilence.model_validate_json(await request.read())
        at_ms = self._now_ms()
        before = self._known(body.id) if body.id else None
        ends_ms = millis(body.ends_at) or 0
        if ends_ms <= at_ms:
            raise ValueError("endsAt: a silence ends in the future")
        silence = Silence(
            id=before.id if before else f"silence/{uuid4()}",
            version=before.version + 1 if before else 1,
            at_ms=at_ms,
            by=body.created_by,
            matchers=[matcher_of(one) for one in body.matchers],
            starts_ms=millis(body.starts_at) or 0,
            ends_ms=ends_ms,
            comment=body.comment,
        )
        await self._standing.decide(silence)
        return web.json_response({"silenceID": silence.id.removeprefix("silence/")})

    async def _expire_silence(self, request: web.Request) -> web.Response:
        silence, at_ms = self._known(request.match_info["id"]), self._now_ms()
        if silence.ends_ms > at_ms:
            ends_ms = max(at_ms, silence.starts_ms)
            changes = {"version": silence.version + 1, "at_ms": at_ms, "ends_ms": ends_ms}
            await self._standing.decide(silence.model_copy(update=changes))
        return web.Response()

    def _known(self, id_: str) -> Silence:
        if _ID.fullmatch(id_):
            for one in self._standing.silences():
                if one.id == f"silence/{id_}":
                    return one
        raise web.HTTPNotFound(text=json.dumps("there is no such silence"), content_type="application/json")

    async def _status(self, _: web.Request) -> web.Response:
        version = dict.fromkeys(("branch", "buildDate", "buildUser", "goVersion", "revision"), "")
        return web.json_response(
            {
                "cluster": {"status": "disabled", "peers": []},
                "config": {"original": ""},
                "uptime": text_of(self._began_ms),
                "versionInfo": {**version, "version": "watchkeeper"},
            }
        )

    async def _list_receivers(self, _: web.Request) -> web.Response:
        return web.json_response([{"name": name} for name in self._receivers])


@web.middleware
async def _from_here(request: web.Request, handler: Any) -> web.StreamResponse:
    """Pages in a browser on this machine reach loopback too: by a name of their own, or as a form's text."""
    host = request.url.host or ""
    try:
        here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost"
    if not here:
        return web.json_response("ask for 127.0.0.1 or localhost, by no other name", status=403)
    if request.method == "POST" and request.content_type != "application/json":
        return web.json_response("Content-Type must be application/json", status=415)
    response: web.StreamResponse = await handler(request)
    return response


@web.middleware
async def _refusals(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return web.json_response(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", status=400)
    except ValueError as error:
        return web.json_response(str(error), status=400)
    except TooMany as error:
        return web.json_response(str(error), status=503)
    return response


def _filters(request: web.Request) -> list[Matcher]:
    return [parse_matcher(text) for text in request.query.getall("filter", [])]


def _asked(request: web.Request, name: str) -> bool:
    return request.query.get(name, "true") != "false"
