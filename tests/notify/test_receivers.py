"""Each way to tell, against a real server of its kind or one that looks at what the other side documents."""

import asyncio
import base64
import email.policy
import json
import logging
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiosmtpd.controller import Controller
from pydantic import TypeAdapter, ValidationError
from standardwebhooks import Webhook as Verifier

from schemas.errors import BadSettings, PermanentError, TransientError
from schemas.notifications import Notice
from sinks.notify.receiver import Receiver
from sinks.notify.receivers import open_receiver
from sinks.notify.receivers.settings import AnyReceiver
from tests.engine.alerting import changed
from tests.http_server import server
from tests.notify.notices import notice
from tests.ports import free_ports

SETTINGS: TypeAdapter[AnyReceiver] = TypeAdapter(AnyReceiver)
LOOPBACK: dict[str, Any] = {"allow_networks": ["127.0.0.0/8"]}
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
NASTY = '<!channel> & "web"\r\nBcc: eve@example.org'


def opened(failed: Callable[[], object] = lambda: None, **settings: Any) -> Receiver:
    return open_receiver(SETTINGS.validate_python({"name": "team", **settings}), failed)


async def posted(receiver: Callable[[str], Receiver], told: Notice, status: int = 200) -> list[dict[str, Any]]:
    """What a receiver posts to a server."""
    taken: list[dict[str, Any]] = []
    bodies: list[Any] = []

    async def read(request: web.Request) -> None:
        bodies.append(await request.read())

    def answer(request: web.Request) -> web.Response:
        taken.append({"path": request.path, "headers": dict(request.headers)})
        return web.Response(status=status)

    async with server(answer, read) as port:
        one = receiver(f"http://127.0.0.1:{port}")
        try:
            await one.deliver(told)
        finally:
            await one.close()
    return [{**about, "raw": body, "body": json.loads(body)} for about, body in zip(taken, bodies, strict=True)]


@pytest.mark.asyncio
async def test_a_webhook_is_signed_as_standard_webhooks_verifies_it() -> None:
    (one,) = await posted(lambda url: opened(kind="webhook", url=f"{url}/hook", secret=SECRET, **LOOPBACK), notice())
    Verifier(SECRET).verify(one["raw"], {name.lower(): value for name, value in one["headers"].items()})
    assert one["headers"]["webhook-id"] == notice().id
    assert Notice.model_validate_json(one["raw"]) == notice()
    with pytest.raises(Exception, match="No matching signature"):
        Verifier("whsec_" + base64.b64encode(bytes(32)).decode()).verify(
            one["raw"], {name.lower(): value for name, value in one["headers"].items()}
        )


@pytest.mark.asyncio
async def test_a_webhook_may_look_like_one_of_alertmanager() -> None:
    told = notice(changed("firing", 20), changed("ok", 90, source="web-2"))
    (one,) = await posted(
        lambda url: opened(kind="webhook", url=url, format="alertmanager", headers={"X-Key": "k"}, **LOOPBACK), told
    )
    assert one["headers"]["X-Key"] == "k"
    assert (one["body"]["version"], one["body"]["status"]) == ("4", "firing")
    assert one["body"]["commonLabels"] == {
        "alertname": "cpu-busy", "metric": "system.cpu.utilization", "severity": "critical",
    }  # fmt: skip
    assert [(alert["status"], alert["labels"]["source"], alert["endsAt"]) for alert in one["body"]["alerts"]] == [
        ("firing", "web-1", "0001-01-01T00:00:00Z"),
        ("resolved", "web-2", "1970-01-01T00:01:30.000Z"),
    ]


@pytest.mark.asyncio
async def test_slack_is_told_in_its_own_words_and_nobody_is_mentioned_by_a_label() -> None:
    (one,) = await posted(
        lambda url: opened(kind="slack", url=url, **LOOPBACK), notice(changed("firing", 20, source=NASTY))
    )
    # The shape that Slack documents for incoming webhooks: text, and blocks of sections with mrkdwn.
    assert set(one["body"]) == {"text", "blocks"}
    assert [block["type"] for block in one["body"]["blocks"]] == ["section", "section"]
    body = json.dumps(one["body"])
    assert "<!channel>" not in body
    assert "&lt;!channel&gt; &amp;" in body
    assert "FIRING critical: cpu-busy" in one["body"]["text"]


@pytest.mark.asyncio
async def test_pagerduty_gets_an_event_for_each_alert_and_an_end_by_the_same_key() -> None:
    told = notice(changed("firing", 20), changed("ok", 90, source="web-2"))
    events = [
        one["body"]
        for one in await posted(
            lambda url: opened(kind="pagerduty", url=url, routing_key="r" * 32, **LOOPBACK), told, 202
        )
    ]
    by_action = {event["event_action"]: event for event in events}
    # The shape that PagerDuty documents for Events API v2.
    assert by_action["trigger"]["payload"].keys() >= {"summary", "source", "severity", "timestamp"}
    assert by_action["trigger"]["payload"]["severity"] == "critical"
    assert by_action["trigger"]["dedup_key"] == changed("firing", 20).alert
    assert by_action["resolve"] == {
        "routing_key": "r" * 32, "dedup_key": changed("ok", 90, source="web-2").alert, "event_action": "resolve",
    }  # fmt: skip


@pytest.mark.asyncio
async def test_apprise_reaches_what_it_knows() -> None:
    def jsons(url: str) -> Receiver:
        return opened(kind="apprise", url=url.replace("http://", "json://"))

    (one,) = await posted(jsons, notice())
    assert one["body"]["title"] == "FIRING critical: cpu-busy on web-1"
    assert one["body"]["type"] == "failure"
    with pytest.raises(TransientError):
        await opened(kind="apprise", url=f"json://127.0.0.1:{free_ports()}").deliver(notice())
    with pytest.raises(BadSettings, match="does not know this URL"):
        opened(kind="apprise", url="carrier-pigeon://roof")


class Inbox:
    """A real SMTP server that keeps what it is given."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answer = "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  (the library's name)
        self.mails.append(BytesParser(EmailMessage, policy=email.policy.default).parsebytes(envelope.content))
        return self.answer


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, dict[str, Any]]]:
    kept = Inbox()
    controller = Controller(kept, hostname="127.0.0.1", port=free_ports())
    controller.start()
    yield kept, {"kind": "email", "host": "127.0.0.1", "port": controller.port, "security": "none",
                 "sender": "watch@example.org", "to": ["ops@example.org"]}  # fmt: skip
    controller.stop()


@pytest.mark.asyncio
async def test_mails_of_a_group_are_one_conversation_and_a_repeat_has_the_same_id(
    inbox: tuple[Inbox, dict[str, Any]],
) -> None:
    kept, settings = inbox
    receiver = opened(**settings)
    for told in (notice(), notice(), notice(changed("ok", 90), id="f" * 32)):
        await receiver.deliver(told)
    first, again, end = kept.mails
    assert first["Message-ID"] == again["Message-ID"] != end["Message-ID"]
    assert first["References"] == end["References"]
    assert (first["Subject"], first["To"]) == ("FIRING critical: cpu-busy on web-1", "ops@example.org")
    assert end["Subject"] == "RESOLVED critical: cpu-busy on web-1"
    plain, html = first.iter_parts()
    assert "cpu-busy on web-1 is firing" in plain.get_content()
    assert html.get_content_type() == "text/html"


@pytest.mark.asyncio
async def test_nothing_in_an_alert_becomes_a_header_or_markup_of_a_mail(inbox: tuple[Inbox, dict[str, Any]]) -> None:
    kept, settings = inbox
    await opened(**settings, title="{{ alerts[0].entity.source }}").deliver(notice(changed("firing", 20, source=NASTY)))
    (mail,) = kept.mails
    assert mail["Bcc"] is None
    assert mail["Subject"] == '<!channel> & "web" Bcc: eve@example.org'
    assert "&lt;!channel&gt; &amp;" in list(mail.iter_parts())[1].get_content()


@pytest.mark.asyncio
@pytest.mark.parametrize(("answer", "error"), [("451 try again", TransientError), ("550 no such user", PermanentError)])
async def test_what_a_mail_server_says_passes_or_is_final(
    inbox: tuple[Inbox, dict[str, Any]], answer: str, error: type[Exception]
) -> None:
    kept, settings = inbox
    kept.answer = answer
    with pytest.raises(error):
        await opened(**settings).deliver(notice())


@pytest.mark.asyncio
async def test_a_mail_server_that_is_not_there_may_come_back() -> None:
    gone: dict[str, Any] = {
        "kind": "email",
        "host": "127.0.0.1",
        "port": free_ports(),
        "sender": "a@b.example",
        "to": ["c@d.example"],
    }
    with pytest.raises(TransientError):
        await opened(**gone).deliver(notice())


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["webhook", "slack", "alertmanager", "pagerduty"])
async def test_no_message_and_no_log_tells_a_secret(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "T0KEN-of-the-hook"
    given = {
        "url": f"http://127.0.0.1:{free_ports()}/{secret}",
        **({"routing_key": secret} if kind == "pagerduty" else {}),
    }
    settings = SETTINGS.validate_python({"name": "team", "kind": kind, **given, **LOOPBACK})
    assert secret not in repr(settings)
    receiver = open_receiver(settings)
    with pytest.raises(TransientError) as raised:
        await receiver.deliver(notice())
    await receiver.close()
    assert secret not in str(raised.value) + caplog.text


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("https://hooks.example/T0KEN\n")
    settings = SETTINGS.validate_python({"name": "team", "kind": "slack", "url_file": str(tmp_path / "url")})
    assert settings.url.get_secret_value() == "https://hooks.example/T0KEN"  # type: ignore[union-attr]
    with pytest.raises(ValidationError, match=r"url_file: .* cannot be read"):
        SETTINGS.validate_python({"name": "team", "kind": "slack", "url_file": str(tmp_path / "none")})
    with pytest.raises(ValidationError, match="give url or url_file, not both"):
        SETTINGS.validate_python({"name": "t", "kind": "slack", "url": "x", "url_file": str(tmp_path / "url")})


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"kind": "webhook", "url": "http://x", "secret": "hunter2"}, "must be whsec_"),
        ({"kind": "webhook", "url": "http://x", "allow_networks": ["10.0.0.1/8"]}, "host bits set"),
        ({"kind": "webhook", "url": "http://x", "colour": "red"}, "Extra inputs"),
        ({"kind": "alertmanager", "url": "http://x", "keep_s": 60}, "twice resend_s"),
        ({"kind": "email", "host": "h", "sender": "a@b", "to": ["a@b, eve@c"]}, "is no address"),
        ({"kind": "slack", "url": "x", "fallback": "team"}, "another receiver"),
        ({"kind": "pigeon"}, "does not match any of the expected tags"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_when_they_are_read(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why) as raised:
        SETTINGS.validate_python({"name": "team", **wrong})
    assert "hunter2" not in str(raised.value.errors(include_input=False, include_context=False))


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ alerts[0].rule", "template text, line 1"),
        ("\n\n{% for %}", "template text, line 3"),
        (f"{'{% for a in alerts %}' * 3}{'{% endfor %}' * 3}", "no loop in more than one other"),
        ("{% for a in alerts recursive %}{{ loop(alerts) }}{% endfor %}", "no loop in more than one other"),
        ("{% macro f(n) %}{{ f(n - 1) }}{{ f(n - 1) }}{% endmacro %}", "no macros"),
        ("{% macro f() %}{{ caller() }}{% endmacro %}{% call f() %}{% endcall %}", "no macros"),
        ("{{ nobody.name }}", "fails on a sample: 'nobody' is undefined"),
        ("{{ alerts[99].rule }}", "fails on a sample"),
        ("{{ 1 // 0 }}", "fails on a sample"),
        ("{{ ''.__class__.__mro__ }}", "fails on a sample"),
        ("{% for n in range(10**9) %}{{ n }}{% endfor %}", "'range' is undefined"),
        ("{% for n in 'x' * 999999999 %}{% endfor %}", "for numbers only"),
        ("{{ 9 ** 9 ** 9 ** 9 }}", "huge powers"),
        ("{{ 5|dictsort }}", "fails on a sample"),
    ],
)
def test_a_template_is_tried_when_it_is_loaded(template: str, why: str) -> None:
    with pytest.raises(BadSettings, match=why):
        opened(kind="slack", url="http://x", text=template)


@pytest.mark.parametrize(
    "template",
    [
        "{{ 1 / (alerts[0].value - 0.5) }}",
        "{% if alerts[0].value == 0.5 %}{{ alerts[0].value|dictsort }}{% endif %}-",
    ],
)
@pytest.mark.asyncio
async def test_a_template_that_fails_at_a_notice_does_not_hold_it_back(template: str) -> None:
    failures: list[int] = []

    def receiver(url: str) -> Receiver:
        return opened(
            lambda: failures.append(1), kind="slack", url=url, text=template, title="{{ title }}!", **LOOPBACK
        )

    (one,) = await posted(receiver, notice(changed("firing", 20, value=0.5)))
    assert "cpu-busy on web-1 is firing" in one["body"]["blocks"][1]["text"]["text"]
    assert one["body"]["text"].endswith("cpu-busy on web-1!")
    assert failures == [1]


@pytest.mark.asyncio
async def test_a_template_that_writes_without_end_is_cut() -> None:
    endless = "{% for a in alerts %}{% for b in alerts %}{{ text }}{% endfor %}{% endfor %}"
    many = notice(*(changed("firing", 20, source=f"web-{n}") for n in range(300)))
    async with asyncio.timeout(5):
        (one,) = await posted(lambda url: opened(kind="slack", url=url, text=endless, **LOOPBACK), many)
    assert len(one["raw"]) < 20_000


def test_a_notice_of_many_alerts_says_how_many_there_are() -> None:
    from sinks.notify.receivers.texts import text, title

    many = notice(*(changed("firing", 20, source=f"web-{n}") for n in range(30)), left_out=5)
    assert title(many) == "FIRING critical: cpu-busy on web-0 and 34 more"
    assert text(many).endswith("... and 15 more alerts")
