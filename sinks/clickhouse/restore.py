"""What a new embedded broker must be told again: the rules, what was known of each alert, and what people were told,
and which incidents there are.
"""

from pydantic import TypeAdapter

from connect.clickhouse import Store
from schemas.access import AccessRecord, Account, ApiKey
from schemas.alerts import AlertState, MemoryChunk
from schemas.control import Acknowledgement, Maintenance, RuleControl, Silence
from schemas.incidents import IncidentAction, IncidentEvent, IncidentRecord
from schemas.notifications import Delivered, Failed, NotificationRecord, Planned, Suppressed

Decision = RuleControl | Silence | Maintenance | Acknowledgement
_DECISION: TypeAdapter[Decision] = TypeAdapter(Decision)
_ACCESS: TypeAdapter[ApiKey | Account] = TypeAdapter(AccessRecord)
_NOTIFICATION: TypeAdapter[Planned | Delivered | Failed | Suppressed] = TypeAdapter(NotificationRecord)
_INCIDENT: TypeAdapter[IncidentEvent | IncidentAction] = TypeAdapter(IncidentRecord)

_CONTROL = """
SELECT argMax(record, (version, at, by)) FROM watchkeeper_store.control FINAL
WHERE NOT startsWith(id, 'applied/') GROUP BY id ORDER BY id
"""
_KEYS = """
SELECT argMax(record, (version, at, by)) FROM watchkeeper_store.access FINAL GROUP BY id ORDER BY id
"""
# Within one incarnation of the topic its last record holds; of several incarnations the one that was evaluated last.
_STATES = """
SELECT argMax(record, (evaluated_at, written_at)) AS newest, argMax(record, written_at) AS written
FROM watchkeeper_store.alert_states FINAL WHERE state != 'memory'
GROUP BY alert HAVING written != '' ORDER BY alert
"""
# No rule looks further back than this.
_MEMORY = """
SELECT argMax(record, written_at) FROM watchkeeper_store.alert_states FINAL
WHERE state = 'memory' AND evaluated_at > now() - INTERVAL 40 DAY
GROUP BY alert ORDER BY alert
"""
# Of each group the last notice, if some of it may still stand; and all that are under way. With them how they ended.
_NOTICES = """
SELECT record FROM watchkeeper_store.notifications FINAL WHERE id IN
(
    SELECT argMax(id, (at, id)) FROM watchkeeper_store.notifications FINAL WHERE state = 'planned'
    GROUP BY receiver, route, group HAVING argMax(status, (at, id)) = 'firing'
    UNION ALL
    SELECT id FROM watchkeeper_store.notifications FINAL GROUP BY id HAVING countIf(state != 'planned') = 0
)
ORDER BY at, state = 'planned' DESC, id
"""
# Incidents that are open or were resolved lately, and what was asked and not answered yet.
_INCIDENTS = """
SELECT record FROM
(
    SELECT argMax(record, version) AS record, max(at) AS at FROM watchkeeper_store.incidents FINAL
    WHERE type = 'event' GROUP BY incident
    HAVING argMax(status, version) = 'open' OR at > now() - INTERVAL 1 DAY
    UNION ALL
    SELECT record, at FROM watchkeeper_store.incidents FINAL
    WHERE type = 'action' AND at > now() - INTERVAL 1 DAY
        AND id NOT IN (SELECT cause FROM watchkeeper_store.incidents WHERE type = 'event')
)
ORDER BY at
"""


def load_control(store: Store) -> list[Decision]:
    """The newest version of each rule, silence and maintenance, removed ones too: versions must go on counting.

    Raises:
        StoreUnavailable: ClickHouse is away.
        StoreRefused: There are no tables yet.
    """
    return [_DECISION.validate_json(record) for (record,) in store.rows(_CONTROL)]


def load_access(store: Store) -> list[tuple[str, bytes]]:
    """The newest version of each key and each account, with its id.

    Raises:
        StoreUnavailable: ClickHouse is away.
        StoreRefused: There are no tables yet.
    """
    records = [_ACCESS.validate_json(record) for (record,) in store.rows(_KEYS)]
    return [(one.id, one.model_dump_json().encode()) for one in records]


def load_states(store: Store) -> list[AlertState]:
    """The newest state of each alert, transitions that may not have been sent included; not of those that were removed.

    Raises:
        StoreUnavailable: ClickHouse is away.
        StoreRefused: There are no tables yet.
    """
    return [AlertState.model_validate_json(newest) for newest, _ in store.rows(_STATES)]


def load_memory(store: Store) -> list[MemoryChunk]:
    """What rules that look far back remember. Chunks of rules that went, or changed, are passed over by who reads them.

    Raises:
        StoreUnavailable: ClickHouse is away.
        StoreRefused: There are no tables yet.
    """
    return [MemoryChunk.model_validate_json(record) for (record,) in store.rows(_MEMORY)]


def load_notices(store: Store) -> list[tuple[str, bytes]]:
    """Records of `notifications`, each with its key.

    Raises:
        StoreUnavailable: ClickHouse is away.
        StoreRefused: There are no tables yet.
    """
    records = [_NOTIFICATION.validate_json(record) for (record,) in store.rows(_NOTICES)]
    return [
        (one.notice.id if isinstance(one, Planned) else one.id, one.model_dump_json().encode())
        for one in records
        if not isinstance(one, Suppressed)
    ]


def load_incidents(store: Store) -> list[tuple[str, bytes]]:
    """Records of `incidents`, each with its key.

    Raises:
        StoreUnavailable: ClickHouse is away.
        StoreRefused: There are no tables yet.
    """
    records = [_INCIDENT.validate_json(record) for (record,) in store.rows(_INCIDENTS)]
    return [
        (one.incident.id if isinstance(one, IncidentEvent) else one.incident, one.model_dump_json().encode())
        for one in records
    ]
