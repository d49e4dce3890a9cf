"""How the embedded engine is set up: small, quiet, and kept away from files and from other machines."""

import fcntl
import os
from pathlib import Path

from schemas.errors import BadSettings

CONFIG = Path("etc/config.xml")
USERS = Path("etc/users.xml")
LOCK = "watchkeeper.lock"
MAX_QUERY_S = 300
THREADS = 4
OLD_PARTS_S = 60
"""How long a part outlives its merge, in the folder and in memory. By default it takes eight minutes."""

# Caches are bounded by their size alone: a server's defaults would let them grow to half of the machine. Merged parts
# are removed often and by two threads: by default they gather, and then a hundred threads come for them, and stay. Rows
# and merges are refused while some of the disk is still free: the engine does not say that a file cannot be written.
_CONFIG = """<clickhouse>
    <users_config>{users}</users_config>
    <max_server_memory_usage>{memory_bytes}</max_server_memory_usage>
    <max_thread_pool_free_size>16</max_thread_pool_free_size>
    <max_parts_cleaning_thread_pool_size>2</max_parts_cleaning_thread_pool_size>
    <mark_cache_size>33554432</mark_cache_size>
    <primary_index_cache_size>33554432</primary_index_cache_size>
    <index_mark_cache_size>8388608</index_mark_cache_size>
    <query_condition_cache_size>8388608</query_condition_cache_size>
    <compiled_expression_cache_size>0</compiled_expression_cache_size>
    <storage_configuration><disks><default>
        <keep_free_space_bytes>{keep_free_bytes}</keep_free_space_bytes>
    </default></disks></storage_configuration>
    <merge_tree>
        <old_parts_lifetime>{old_parts_s}</old_parts_lifetime>
        <cleanup_delay_period>10</cleanup_delay_period>
        <cleanup_delay_period_random_add>0</cleanup_delay_period_random_add>
        <max_cleanup_delay_period>20</max_cleanup_delay_period>
    </merge_tree>
    <access_control_improvements>
        <table_engines_require_grant>true</table_engines_require_grant>
    </access_control_improvements>
</clickhouse>
"""

# What is not granted is refused: files, other machines, named collections, dictionaries (their sources are files,
# programs and addresses), SYSTEM SHUTDOWN.
_GRANTS = (
    "SHOW, SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, CREATE FUNCTION, DROP, UNDROP TABLE,"
    " TRUNCATE, OPTIMIZE, CHECK, KILL QUERY, dictGet ON *.*",
    "CREATE TEMPORARY TABLE ON *.*",
    "SYSTEM FLUSH, SYSTEM MERGES, SYSTEM TTL MERGES, SYSTEM VIEWS, SYSTEM DROP CACHE ON *.*",
)
_ENGINES = (
    *(
        f"{kind}MergeTree"
        for kind in ("", "Replacing", "Summing", "Aggregating", "Collapsing", "VersionedCollapsing", "Coalescing")
    ),
    *("Atomic", "Buffer", "GenerateRandom", "Join", "Log", "Memory", "Merge", "Null", "Set", "StripeLog", "TinyLog"),
    *("MaterializedView", "View"),
)

# Expressions are not compiled: the compiler's memory is more than it saves in queries of this size.
_USERS = """<clickhouse>
    <profiles>
        <default>
            <max_threads>{threads}</max_threads>
            <max_insert_threads>1</max_insert_threads>
            <max_memory_usage>{query_bytes}</max_memory_usage>
            <max_execution_time>{query_s}</max_execution_time>
            <async_insert>0</async_insert>
            <compile_expressions>0</compile_expressions>
            <compile_aggregate_expressions>0</compile_aggregate_expressions>
            <compile_sort_description>0</compile_sort_description>
        </default>
    </profiles>
    <users>
        <default>
            <password></password>
            <networks><ip>::/0</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <grants>
{grants}
            </grants>
        </default>
    </users>
    <quotas><default/></quotas>
</clickhouse>
"""


def lock(folder: Path) -> int:
    """Our hold on the folder, until the process ends. The engine's own refusal does not say what is wrong.

    Raises:
        BadSettings: When another process holds it.
    """
    held = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        reason = f"The data folder {folder} is in use by another process. Stop that one, or name another folder."
        raise BadSettings(reason) from None
    return held


def write(folder: Path, *, memory_bytes: int, keep_free_bytes: int, processors: int) -> None:
    """Writes the engine's two files into its data folder, where they are not what they should be.

    Args:
        folder: The data folder, which becomes the working directory of the engine's process.
        memory_bytes: What all statements and caches may use together.
        keep_free_bytes: When the disk has no more than this, rows are refused, and parts are not merged.
        processors: How many there are.
    """
    granted = (*_GRANTS, *(f"TABLE ENGINE ON {name}" for name in _ENGINES))
    users = _USERS.format(
        threads=min(THREADS, processors),
        query_bytes=memory_bytes * 3 // 4,
        query_s=MAX_QUERY_S,
        grants="\n".join(f"                <query>GRANT {what}</query>" for what in granted),
    )
    config = _CONFIG.format(
        users=USERS, memory_bytes=memory_bytes, keep_free_bytes=keep_free_bytes, old_parts_s=OLD_PARTS_S
    )
    (folder / CONFIG).parent.mkdir(exist_ok=True)
    for name, text in ((CONFIG, config), (USERS, users)):
        # A full disk has no room even for these.
        if not (folder / name).exists() or (folder / name).read_text() != text:
            (folder / name).write_text(text)
