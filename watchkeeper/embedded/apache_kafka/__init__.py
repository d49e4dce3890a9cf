"""Apache Kafka on this machine, in KRaft mode: its jars from Maven, run with Java."""
