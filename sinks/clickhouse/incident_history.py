"""What ClickHouse knows of incidents."""

from connect.clickhouse import Store
from schemas.incidents import Incident, IncidentEvent

_NEWEST = """
SELECT argMax(record, version) FROM watchkeeper_store.incidents FINAL
WHERE type = 'event' AND startsWith(incident, {id:String})
GROUP BY incident HAVING {all:Bool} OR argMax(status, version) = 'open'
ORDER BY any(opened) DESC, incident LIMIT {limit:UInt32}
"""
_EVENTS = """
SELECT record FROM watchkeeper_store.incidents FINAL
WHERE type = 'event' AND incident = {id:String} ORDER BY version, id
"""


def incidents(store: Store, *, resolved_too: bool, limit: int) -> list[Incident]:
    """As they stand, the newest first.

    Raises:
        StoreUnavailable: ClickHouse is away.
    """
    rows = store.rows(_NEWEST, {"id": "", "all": resolved_too, "limit": limit})
    return [IncidentEvent.model_validate_json(record).incident for (record,) in rows]


def named(store: Store, name: str) -> list[Incident]:
    """Those whose id begins so, two at most. Raises as `incidents`."""
    rows = store.rows(_NEWEST, {"id": name, "all": True, "limit": 2})
    return [IncidentEvent.model_validate_json(record).incident for (record,) in rows]


def events_of(store: Store, incident: str) -> list[IncidentEvent]:
    """All that happened to an incident, in its order. Raises as `incidents`."""
    return [IncidentEvent.model_validate_json(record) for (record,) in store.rows(_EVENTS, {"id": incident})]
