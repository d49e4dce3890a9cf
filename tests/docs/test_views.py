"""`docs/views.md` against the real engine: the columns it lists are those of the views, and its queries run."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from connect.clickhouse import Store
from connect.config import ClickHouseConfig
from sinks.clickhouse.migrate import migrate

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "views.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", TEXT, flags=re.MULTILINE)
QUERIES = re.findall(r"^```sql\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)
QUERIES += re.findall(r'watchkeeper query "([^"]+)"', (ROOT / "README.md").read_text())


@pytest.fixture(scope="module")
def store(clickhouse: ClickHouseConfig) -> Iterator[Store]:
    store = Store(clickhouse)
    migrate(store)
    yield store
    store.close()


def columns(store: Store, view: str) -> list[str]:
    sql = "SELECT name FROM system.columns WHERE database = 'watchkeeper' AND table = {view:String} ORDER BY position"
    return [name for (name,) in store.rows(sql, {"view": view})]


def test_every_view_is_listed(store: Store) -> None:
    views = {name for (name,) in store.rows("SELECT name FROM system.tables WHERE database = 'watchkeeper'")}

    assert {name for name, _, _ in ROWS} == views


@pytest.mark.parametrize(("view", "listed"), [(view, listed) for view, listed, _ in ROWS])
def test_the_columns_that_are_listed_are_those_of_the_view(store: Store, view: str, listed: str) -> None:
    same_as = re.fullmatch(r"as `(\w+)`", listed)

    wanted = columns(store, same_as[1]) if same_as else re.findall(r"`(\w+)`", listed)
    assert columns(store, view) == wanted


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_of_the_documents_runs(store: Store, query: str) -> None:
    assert isinstance(store.rows(query), list)


def test_the_time_that_rows_are_kept_is_that_of_the_tables(store: Store) -> None:
    kept = {view: kept for view, _, kept in ROWS}
    ttl = dict(store.rows("SELECT name, engine_full FROM system.tables WHERE database = 'watchkeeper_store'"))
    tables = {"metrics_10s": "rollups", "monitoring_metrics": "samples", "monitoring_thresholds": "control"}
    tables |= {"monitoring_alerts": "transitions", "alert_transitions": "transitions"}
    tables |= {"silences": "control", "alert_suppressions": "notifications"}
    tables |= {"alert_acknowledgements": "control", "alert_response": "transitions"}
    tables |= {"incident_events": "incidents", "incident_response": "incidents", "alert_recovery": "transitions"}
    tables |= {f"metrics_{tier}": f"rollups_{tier}" for tier in ("1m", "1h", "1d")}

    for view, stated in kept.items():
        found = re.search(r"TTL .*toInterval(Day|Year)\((\d+)\)", str(ttl[tables.get(view, view)]))
        assert stated.strip() == (f"{found[2]} {found[1].lower()}s" if found else "always")
