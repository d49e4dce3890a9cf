-- Keys and accounts of the API, every version of them; there are no secrets in them. No view shows them.

CREATE TABLE IF NOT EXISTS watchkeeper_store.access
(
    id      String,
    version UInt64,
    at      DateTime64(3, 'UTC'),
    by      String,
    record  String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (id, version, at, by)
SETTINGS non_replicated_deduplication_window = 0;

-- What was changed through the API.

CREATE TABLE IF NOT EXISTS watchkeeper_store.changes
(
    id      UUID,
    at      DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    by      String,
    name    String,
    address String,
    action  LowCardinality(String),
    object  String,
    version UInt64,
    detail  String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (at, id)
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW watchkeeper.changes AS
SELECT id, at, by, name, address, action, object, version, detail
FROM watchkeeper_store.changes FINAL;
