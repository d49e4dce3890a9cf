"""Mail, by SMTP."""

import asyncio
from email.message import EmailMessage
from email.utils import formatdate
from hashlib import blake2b
from html import escape

import aiosmtplib

from schemas.errors import PermanentError, TransientError
from schemas.notifications import Notice
from sinks.notify.receivers.settings import EmailSettings
from sinks.notify.receivers.texts import Wording

_PERMANENT = (aiosmtplib.SMTPAuthenticationError, aiosmtplib.SMTPNotSupported)


class Mail:
    """Sends each notice as one mail to all addresses."""

    def __init__(self, settings: EmailSettings, wording: Wording) -> None:
        self._settings = settings
        self._wording = wording

    @property
    def name(self) -> str:
        """See `Receiver`."""
        return self._settings.name

    async def deliver(self, notice: Notice) -> None:
        """See `Receiver`."""
        settings = self._settings
        mail = message(notice, settings, self._wording)
        password = settings.password.get_secret_value() if settings.password is not None else None
        try:
            async with asyncio.timeout(settings.timeout_s):
                refused, _ = await aiosmtplib.send(
                    mail,
                    sender=settings.sender,
                    recipients=settings.to,
                    hostname=settings.host,
                    port=settings.port,
                    username=settings.username,
                    password=password,
                    use_tls=settings.security == "tls",
                    start_tls=settings.security == "starttls",
                    timeout=settings.timeout_s,
                )
        except (aiosmtplib.SMTPException, TimeoutError, OSError) as error:
            raise _judged(settings.host, error) from None
        if refused:
            raise PermanentError(f"{settings.host} refuses {', '.join(sorted(refused))}")

    async def close(self) -> None:
        """Nothing is kept open."""


def _judged(host: str, error: Exception) -> PermanentError | TransientError:
    """SMTP's codes of 500 and more are final; everything else may pass."""
    code = error.code if isinstance(error, aiosmtplib.SMTPResponseException) else 0
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        code = min(one.code for one in error.recipients)
    told = f"{host}: {type(error).__name__}{f' {code}' if code else ''}"
    if isinstance(error, _PERMANENT) or code >= 500:
        return PermanentError(f"{told}: look at the settings of this receiver")
    return TransientError(told)


def message(notice: Notice, settings: EmailSettings, wording: Wording) -> EmailMessage:
    """A mail. Those of one group are one conversation; a repeated one has the same id."""
    title, text = wording(notice)
    domain = settings.sender.rpartition("@")[2]
    group = blake2b(f"{notice.receiver}|{notice.route}|{sorted(notice.group.items())}".encode(), digest_size=16)
    mail = EmailMessage()
    # A header that holds a line break is refused by the library; titles are one line.
    mail["Subject"] = title
    mail["From"] = settings.sender
    mail["To"] = ", ".join(settings.to)
    mail["Date"] = formatdate(notice.at_ms / 1000, usegmt=True)
    mail["Message-ID"] = f"<{notice.id}@{domain}>"
    mail["References"] = f"<{group.hexdigest()}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text)
    mail.add_alternative(f"<!doctype html><title>{escape(title)}</title><pre>{escape(text)}</pre>", subtype="html")
    return mail
