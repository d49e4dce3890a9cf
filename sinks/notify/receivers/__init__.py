"""The ways to tell, one module each."""

from collections.abc import Callable
from typing import assert_never

from sinks.notify.receiver import Receiver
from sinks.notify.receivers.alertmanager import Alertmanager
from sinks.notify.receivers.chat import Slack
from sinks.notify.receivers.mail import Mail
from sinks.notify.receivers.others import Others
from sinks.notify.receivers.pagerduty import PagerDuty
from sinks.notify.receivers.settings import (
    AlertmanagerSettings,
    AnyReceiver,
    AppriseSettings,
    EmailSettings,
    PagerDutySettings,
    SlackSettings,
    WebhookSettings,
)
from sinks.notify.receivers.texts import Wording
from sinks.notify.receivers.webhook import Webhook


def open_receiver(settings: AnyReceiver, template_failed: Callable[[], object] = lambda: None) -> Receiver:
    """The receiver that settings describe.

    Args:
        template_failed: Told that a template of it failed at a notice.

    Raises:
        BadSettings: A template cannot be used, or Apprise does not know a URL.
    """
    if isinstance(settings, WebhookSettings):
        return Webhook(settings)
    if isinstance(settings, AlertmanagerSettings):
        return Alertmanager(settings)
    wording = Wording(settings.title, settings.text, template_failed)
    match settings:
        case EmailSettings():
            return Mail(settings, wording)
        case SlackSettings():
            return Slack(settings, wording)
        case PagerDutySettings():
            return PagerDuty(settings, wording)
        case AppriseSettings():
            return Others(settings, wording)
        case _:
            assert_never(settings)
