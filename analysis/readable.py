"""Whether a statement of an analyst only reads the public views: judged by how ClickHouse itself parses it."""

import re
from collections.abc import Iterable, Iterator

from connect.clickhouse import Store
from schemas.errors import StoreRefused

DATABASE = "watchkeeper"
_SELECTS = frozenset({"SelectWithUnionQuery", "SelectQuery", "SelectIntersectExceptQuery", "TablesInSelectQuery"})
_PRIVATE = frozenset({"system", "information_schema", "watchkeeper_store", "default", "_temporary_and_external_tables"})

# Functions that read files, settings, dictionaries, other tables or other hosts, or that only wait.
_FORBIDDEN = re.compile(
    r"(?i)(file|dict.*|joinGet.*|get(Setting|ServerSetting|MergeTreeSetting|Macro|ServerPort|OSKernelVersion|ClientHTTP"
    r"Header)|sleep.*|catboost.*|hasColumnInTable|filesystem.*|zookeeper.*|tcpPort|ai[A-Z_].*|llm.*|evalMLMethod|addressTo"
    r".*|demangle|hostName|FQDN|serverUUID|currentUser|currentRoles|currentQueryID|queryID|initialQueryID|errorCodeToName"
    r"|structureTo.*|executable.*)"
)


def check(store: Store, sql: str) -> None:
    """Lets a statement pass that is one SELECT on the public views.

    Raises:
        StoreRefused: It is not, with the reason.
        StoreUnavailable: ClickHouse is away.
    """
    if "\0" in sql:
        raise StoreRefused("the statement holds a null character")
    # In parentheses: whatever comes behind a statement, such as another one or INTO OUTFILE, does not parse there.
    asked = f"EXPLAIN AST SELECT * FROM (\n{sql}\n)"  # noqa: S608  (parsed, not executed)
    lines = b"".join(store.raw(asked, "TSVRaw")).decode("utf-8", "replace").splitlines()
    for fault in faults(lines):
        raise StoreRefused(fault)


def faults(lines: Iterable[str]) -> Iterator[str]:
    """What is wrong with a statement, by the lines of its syntax tree. Lines more than it has only add faults."""
    above = ""
    for line in lines:
        kind, _, rest = line.strip().partition(" ")
        name = rest.partition(" (")[0]
        if kind == "Function" and above == "TableExpression":
            yield f"table functions are not allowed: {name}"
        elif kind == "Function" and _FORBIDDEN.fullmatch(name):
            yield f"the function {name} is not allowed"
        elif kind == "Set":
            yield "SETTINGS are not allowed"
        elif kind in ("TableIdentifier", "Identifier") and _is_private(kind, name):
            yield f"only views of the database {DATABASE} may be read, not {name}: see docs/views.md"
        elif kind.endswith("Query") and kind not in _SELECTS:
            yield "only SELECT is allowed"
        above = kind


def _is_private(kind: str, name: str) -> bool:
    first, dot, rest = name.replace("`", "").partition(".")
    if kind == "TableIdentifier":
        return bool(dot) and (first.lower() != DATABASE or "." in rest)
    # Behind IN the name of a table looks like that of a column.
    return bool(dot) and first.lower() in _PRIVATE
