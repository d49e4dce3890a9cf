"""The topics: what they hold, how they are keyed, and how long they are kept."""

from dataclasses import dataclass

from schemas.access import AccessRecord, ApiChange
from schemas.alerts import StateRecord, Transition
from schemas.control import ControlRecord
from schemas.deadletters import DeadLetter, Redrive
from schemas.events import ErrorEvent, LogRecord, UserEvent
from schemas.incidents import IncidentRecord
from schemas.notifications import NotificationRecord
from schemas.rollup_columns import RollupColumns
from schemas.rollups import RollupRows, Watermark
from schemas.samples import SampleRecord, Tick

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic of the contract.

    Attributes:
        name: Name on the broker.
        records: Models of the values that stand in it.
        key: What the key is, in words.
        partitions: How many by default; settings may raise it for input topics.
        retention_ms: How long records are kept; None where the topic is compacted.
        title: What it holds, in one sentence.
    """

    name: str
    records: tuple[object, ...]
    key: str
    partitions: int
    retention_ms: int | None
    title: str

    @property
    def compacted(self) -> bool:
        """Whether only the newest record of each key is kept."""
        return self.retention_ms is None


SAMPLES = Topic(
    name="metrics.samples",
    records=(SampleRecord, Tick),
    key="source",
    partitions=4,
    retention_ms=3 * DAY_MS,
    title="All samples of one source at one time; ticks.",
)
USER_EVENTS = Topic(
    name="events.user",
    records=(UserEvent, Tick),
    key="user (a pseudonym)",
    partitions=2,
    retention_ms=3 * DAY_MS,
    title="One activity of a user; ticks.",
)
ERRORS = Topic(
    name="events.errors",
    records=(ErrorEvent, Tick),
    key="service",
    partitions=2,
    retention_ms=3 * DAY_MS,
    title="One error; ticks.",
)
LOGS = Topic(
    name="logs",
    records=(LogRecord, Tick),
    key="source",
    partitions=2,
    retention_ms=3 * DAY_MS,
    title="One log record; ticks.",
)
ROLLUPS = Topic(
    name="metrics.rollups",
    records=(RollupColumns, RollupRows, Watermark),
    key="metric",
    partitions=2,
    retention_ms=3 * DAY_MS,
    title="Rollup rows of 10 s windows with their identity; watermarks.",
)
ALERTS = Topic(
    name="alerts",
    records=(Transition,),
    key="alert fingerprint",
    partitions=2,
    retention_ms=30 * DAY_MS,
    title="Changes of alert states: what downstream services consume.",
)
ALERT_STATES = Topic(
    name="alerts.state",
    records=(StateRecord,),
    key="alert fingerprint",
    partitions=2,
    retention_ms=None,
    title="What the evaluator knows of each alert, written before `alerts`.",
)
CONTROL = Topic(
    name="control",
    records=(ControlRecord,),
    key="id",
    partitions=1,
    retention_ms=None,
    title="Rules, silences and maintenance, versioned, with who and when; from when each rule was applied.",
)
NOTIFICATIONS = Topic(
    name="notifications",
    records=(NotificationRecord,),
    key="notice id",
    partitions=1,
    retention_ms=30 * DAY_MS,
    title="Notices of alerts: what was to be told to whom, and what became of it.",
)
INCIDENTS = Topic(
    name="incidents",
    records=(IncidentRecord,),
    key="incident id",
    partitions=1,
    retention_ms=30 * DAY_MS,
    title="Alerts that belong together: what became of them, and what people asked to be done.",
)
ACCESS = Topic(
    name="access",
    records=(AccessRecord,),
    key="id",
    partitions=1,
    retention_ms=None,
    title="Keys and accounts of the API, versioned, with who and when. No secrets.",
)
CHANGES = Topic(
    name="changes",
    records=(ApiChange,),
    key="id of what was changed",
    partitions=1,
    retention_ms=30 * DAY_MS,
    title="What was changed through the API, and by whom.",
)
DEADLETTERS = Topic(
    name="deadletters",
    records=(DeadLetter, Redrive),
    key="topic-partition-offset",
    partitions=1,
    retention_ms=7 * DAY_MS,
    title="Records that could not be used, with the reason; which of them were sent again.",
)

INPUTS = (SAMPLES, USER_EVENTS, ERRORS, LOGS)
TOPICS = (*INPUTS, ROLLUPS, ALERTS, ALERT_STATES, CONTROL, NOTIFICATIONS, INCIDENTS, ACCESS, CHANGES, DEADLETTERS)
BY_NAME = {topic.name: topic for topic in TOPICS}
