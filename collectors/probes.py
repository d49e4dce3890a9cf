"""What can be read of this host: one function per probe, each giving the readings of one moment."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import psutil

MAX_MOUNTS = 64
MAX_DEVICES = 64
MAX_SENSORS = 64
_SOCKSTAT = Path("/proc/net/sockstat")
_PSEUDO = frozenset(
    {"squashfs", "overlay", "tmpfs", "devtmpfs", "autofs", "proc", "sysfs", "cgroup2", "ramfs", "iso9660"}
)


class Reading(NamedTuple):
    """One number of one metric of the catalogue."""

    metric: str
    value: float
    dimensions: Mapping[str, str] = {}


Probe = Callable[[], Iterator[Reading]]


class CpuProbe:
    """Times by mode, and the busy part of the time since the reading before."""

    def __init__(self) -> None:
        self._before: tuple[float, float] | None = None

    def __call__(self) -> Iterator[Reading]:
        """The readings; utilisation from the second call on."""
        times = psutil.cpu_times()._asdict()
        for mode, seconds in times.items():
            yield Reading("system.cpu.time", seconds, {"cpu.mode": mode})
        # Guests run within user time, and waiting for a disk is idle time: the processor was free.
        idle = times["idle"] + times.get("iowait", 0.0)
        total = sum(seconds for mode, seconds in times.items() if mode not in ("guest", "guest_nice"))
        if self._before is not None and total > self._before[1]:
            busy = 1.0 - (idle - self._before[0]) / (total - self._before[1])
            yield Reading("system.cpu.utilization", min(1.0, max(0.0, busy)))
        self._before = idle, total


def load() -> Iterator[Reading]:
    """Load averages."""
    for minutes, value in zip((1, 5, 15), psutil.getloadavg(), strict=True):
        yield Reading(f"system.cpu.load_average.{minutes}m", value)
    yield Reading("system.cpu.logical.count", psutil.cpu_count() or 1)


def memory() -> Iterator[Reading]:
    """Memory by state."""
    now = psutil.virtual_memory()
    for state in ("used", "free", "cached", "buffers"):
        if hasattr(now, state):
            yield Reading("system.memory.usage", getattr(now, state), {"system.memory.state": state})
    yield Reading("system.memory.limit", now.total)
    yield Reading("system.memory.utilization", 1.0 - now.available / now.total)


def swap() -> Iterator[Reading]:
    """Swap by state."""
    now = psutil.swap_memory()
    yield Reading("system.paging.usage", now.used, {"system.paging.state": "used"})
    yield Reading("system.paging.usage", now.free, {"system.paging.state": "free"})
    yield Reading("system.paging.utilization", now.used / now.total if now.total else 0.0)


def disks() -> Iterator[Reading]:
    """Traffic of block devices."""
    counters = (psutil.disk_io_counters(perdisk=True) or {}).items()
    # Loop and memory devices stand on others, or on nothing.
    for device, io in [pair for pair in counters if not pair[0].startswith(("loop", "ram"))][:MAX_DEVICES]:
        for direction, size, count, milliseconds in (
            ("read", io.read_bytes, io.read_count, io.read_time),
            ("write", io.write_bytes, io.write_count, io.write_time),
        ):
            dimensions = {"system.device": device, "disk.io.direction": direction}
            yield Reading("system.disk.io", size, dimensions)
            yield Reading("system.disk.operations", count, dimensions)
            yield Reading("system.disk.operation_time", milliseconds / 1000, dimensions)


def network() -> Iterator[Reading]:
    """Traffic and errors of network interfaces."""
    for name, io in list(psutil.net_io_counters(pernic=True).items())[:MAX_DEVICES]:
        for direction, size, packets, errors, dropped in (
            ("receive", io.bytes_recv, io.packets_recv, io.errin, io.dropin),
            ("transmit", io.bytes_sent, io.packets_sent, io.errout, io.dropout),
        ):
            dimensions = {"network.interface.name": name, "network.io.direction": direction}
            yield Reading("system.network.io", size, dimensions)
            yield Reading("system.network.packet.count", packets, dimensions)
            yield Reading("system.network.errors", errors, dimensions)
            yield Reading("system.network.packet.dropped", dropped, dimensions)


def sockets() -> Iterator[Reading]:
    """Open sockets by transport. Linux counts them; elsewhere they are walked, which needs permission."""
    if _SOCKSTAT.exists():
        for line in _SOCKSTAT.read_text(encoding="ascii").splitlines():
            name, _, rest = line.partition(":")
            fields = rest.split()
            if name in ("TCP", "UDP") and "inuse" in fields:
                count = float(fields[fields.index("inuse") + 1])
                yield Reading("system.network.connection.count", count, {"network.transport": name.lower()})
        return
    for transport in ("tcp", "udp"):
        count = len(psutil.net_connections(transport))
        yield Reading("system.network.connection.count", count, {"network.transport": transport})


def processes() -> Iterator[Reading]:
    """How many processes there are."""
    yield Reading("system.process.count", len(psutil.pids()))


def uptime() -> Iterator[Reading]:
    """Time since the machine started."""
    yield Reading("system.uptime", max(0.0, time.time() - psutil.boot_time()))


def temperatures() -> Iterator[Reading]:
    """Sensors, where the platform has them."""
    read = getattr(psutil, "sensors_temperatures", None)
    sensors = read() if read is not None else {}
    found = [(name, index, entry) for name, entries in sensors.items() for index, entry in enumerate(entries)]
    for name, index, entry in found[:MAX_SENSORS]:
        if entry.current is not None:
            yield Reading("hw.temperature", entry.current, {"hw.id": f"{name}/{index}", "hw.name": entry.label or name})


def mounts() -> dict[str, Probe]:
    """A probe for each real file system, so that one that hangs holds no other back."""
    found: dict[str, Probe] = {}
    devices: set[str] = set()
    for part in psutil.disk_partitions(all=True):
        real = part.fstype and part.fstype not in _PSEUDO and (part.device.startswith("/") or ":" in part.device)
        if (real or part.mountpoint == "/") and part.device not in devices and len(found) < MAX_MOUNTS:
            devices.add(part.device)
            found[f"filesystem:{part.mountpoint}"[:256]] = _filesystem(part.device, part.mountpoint, part.fstype)
    return found


def _filesystem(device: str, mountpoint: str, fstype: str) -> Probe:
    dimensions = {
        "system.device": device[:256],
        "system.filesystem.mountpoint": mountpoint[:256],
        "system.filesystem.type": fstype[:256],
    }

    def read() -> Iterator[Reading]:
        now = psutil.disk_usage(mountpoint)
        yield Reading("system.filesystem.usage", now.used, {**dimensions, "system.filesystem.state": "used"})
        yield Reading("system.filesystem.usage", now.free, {**dimensions, "system.filesystem.state": "free"})
        yield Reading("system.filesystem.utilization", now.percent / 100, dimensions)

    return read


def all_probes() -> dict[str, Probe]:
    """Every probe of this host by name."""
    return {
        "cpu": CpuProbe(),
        "load": load,
        "memory": memory,
        "swap": swap,
        "disks": disks,
        "network": network,
        "sockets": sockets,
        "processes": processes,
        "uptime": uptime,
        "temperatures": temperatures,
        **mounts(),
    }
