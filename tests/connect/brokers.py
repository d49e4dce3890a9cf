"""What the brokers that we embed can do. `test_brokers.py` holds each line against the broker itself."""

from typing import NamedTuple


class Ability(NamedTuple):
    """Something that Kafka's protocol offers, and whether a broker does it."""

    title: str
    tansu: bool
    kafka: bool

    def of(self, kind: str) -> bool:
        """Whether a broker of this kind does it."""
        return self.tansu if kind == "tansu" else self.kafka


SIZES = Ability("records of 1 MB and of 5 MB", tansu=True, kafka=True)
COMPRESSION = Ability("gzip, snappy, lz4, zstd, and none", tansu=True, kafka=True)
CREATED = Ability("the time that the sender gave a record", tansu=True, kafka=True)
APPENDED = Ability("the time of the append, where the topic asks for it", tansu=False, kafka=True)
TOMBSTONES = Ability("keys without a value", tansu=True, kafka=True)
LATEST = Ability("the offset of the next record, when asked for the latest", tansu=False, kafka=True)
GROUPS = Ability("groups: a member joins, leaves, is killed; each partition has one owner", tansu=True, kafka=True)
COMMITS = Ability("commits, and that the next member begins there", tansu=True, kafka=True)
TOPIC_IDS = Ability("ids of topics", tansu=True, kafka=True)
IDEMPOTENCE = Ability("idempotent producers", tansu=False, kafka=True)
DURABILITY = Ability("what was acknowledged, after kill -9 and a restart", tansu=False, kafka=True)

ABILITIES = (
    *(SIZES, COMPRESSION, CREATED, APPENDED, TOMBSTONES, LATEST),
    *(GROUPS, COMMITS, TOPIC_IDS, IDEMPOTENCE, DURABILITY),
)
