"""A consumer group of which one member reads everything, and the others stand by."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


class OneMember(AbstractPartitionAssignor):  # type: ignore[misc]  # the client ships no types for it
    """Gives all partitions to the member whose id comes first. When it leaves or dies, the next one has them."""

    name = "one-member"
    version = 0

    @classmethod
    def assign(
        cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Partitions of every topic that the first one subscribes to."""
        first = min(members)
        topics: defaultdict[str, list[int]] = defaultdict(list)
        for topic in members[first].subscription:
            topics[topic] = sorted(cluster.partitions_for_topic(topic) or ())
        everything = sorted(topics.items())
        return {
            member: ConsumerProtocolMemberAssignment(cls.version, everything if member == first else [], b"")
            for member in members
        }

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """What a member tells of itself."""
        return ConsumerProtocolMemberMetadata(cls.version, list(topics), b"")

    @classmethod
    def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Nothing is remembered."""
