"""The metrics that Watchkeeper emits itself, after OpenTelemetry's semantic conventions where these name them."""

from dataclasses import dataclass

from schemas.samples import Kind


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its unit as UCUM writes it, how its numbers relate, and the dimensions that its samples carry."""

    name: str
    unit: str
    kind: Kind
    description: str
    dimensions: tuple[str, ...] = ()


_G, _C, _D = Kind.GAUGE, Kind.CUMULATIVE, Kind.DELTA
_DEVICE = ("system.device", "disk.io.direction")
_INTERFACE = ("network.interface.name", "network.io.direction")
_MOUNT = ("system.device", "system.filesystem.mountpoint", "system.filesystem.type")

CATALOGUE = (
    Metric("system.cpu.time", "s", _C, "Time that all processors spent in a mode.", ("cpu.mode",)),
    Metric("system.cpu.utilization", "1", _G, "Part of the time that the processors were not idle, 0 to 1."),
    Metric("system.cpu.logical.count", "{cpu}", _G, "Logical processors."),
    Metric("system.cpu.load_average.1m", "{thread}", _G, "Load average of one minute."),
    Metric("system.cpu.load_average.5m", "{thread}", _G, "Load average of five minutes."),
    Metric("system.cpu.load_average.15m", "{thread}", _G, "Load average of fifteen minutes."),
    Metric("system.memory.usage", "By", _G, "Memory by state.", ("system.memory.state",)),
    Metric("system.memory.limit", "By", _G, "Memory that there is."),
    Metric("system.memory.utilization", "1", _G, "Part of the memory that is not available, 0 to 1."),
    Metric("system.paging.usage", "By", _G, "Swap by state.", ("system.paging.state",)),
    Metric("system.paging.utilization", "1", _G, "Part of the swap that is used, 0 to 1."),
    Metric("system.filesystem.usage", "By", _G, "Space by state.", (*_MOUNT, "system.filesystem.state")),
    Metric("system.filesystem.utilization", "1", _G, "Part of the space that programs may use that is used.", _MOUNT),
    Metric("system.disk.io", "By", _C, "Bytes read and written.", _DEVICE),
    Metric("system.disk.operations", "{operation}", _C, "Reads and writes.", _DEVICE),
    Metric("system.disk.operation_time", "s", _C, "Time spent in reads and writes, added up.", _DEVICE),
    Metric("system.network.io", "By", _C, "Bytes received and sent.", _INTERFACE),
    Metric("system.network.packet.count", "{packet}", _C, "Packets received and sent.", _INTERFACE),
    Metric("system.network.errors", "{error}", _C, "Packets that failed.", _INTERFACE),
    Metric("system.network.packet.dropped", "{packet}", _C, "Packets that were dropped.", _INTERFACE),
    Metric("system.network.connection.count", "{connection}", _G, "Open sockets.", ("network.transport",)),
    Metric("system.process.count", "{process}", _G, "Processes."),
    Metric("system.uptime", "s", _G, "Time since the machine started."),
    Metric("hw.temperature", "Cel", _G, "Temperature of a sensor.", ("hw.id", "hw.name")),
    Metric("watchkeeper.probe.duration", "s", _G, "Time that a probe took.", ("probe",)),
    Metric(
        "watchkeeper.probe.misses", "{miss}", _D, "A probe that failed, or did not answer in time.", ("probe", "reason")
    ),
    Metric(
        "watchkeeper.deadletters",
        "{record}",
        _D,
        "Records that could not be used, wholly or in part.",
        ("messaging.destination.name",),
    ),
    Metric(
        "watchkeeper.lag",
        "{record}",
        _G,
        "Records that wait to be folded.",
        ("messaging.destination.name", "messaging.destination.partition.id"),
    ),
    Metric("user.events", "{event}", _D, "Activities of users.", ("event", "service")),
    Metric("user.event.duration", "s", _G, "Time that activities of users took.", ("event", "service")),
    Metric("error.events", "{error}", _D, "Errors of services.", ("service", "type", "severity")),
    Metric("log.records", "{record}", _D, "Log records of services.", ("service", "severity")),
)

BY_NAME = {metric.name: metric for metric in CATALOGUE}
