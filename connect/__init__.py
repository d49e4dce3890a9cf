"""How we speak: the Kafka publisher and readers, the ClickHouse client, telemetry.

The only importers of aiokafka (beside the Faust transport in `agents.runtime`) and of clickhouse-connect.
"""
