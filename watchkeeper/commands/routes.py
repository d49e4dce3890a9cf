"""`watchkeeper route`: who is told of which alerts."""

from collections.abc import Sequence
from pathlib import Path

from engine.routing import Route, explained, flat, routes_of, tree
from schemas.errors import BadSettings
from sinks.notify.receivers import open_receiver
from watchkeeper.notify_file import load_notify
from watchkeeper.sources import Nested, load
from watchkeeper.words import counted, duration


def check(file: str) -> None:
    """Says that a file can be used.

    Raises:
        BadSettings: With every fault.
    """
    read = load_notify(Path(file).expanduser())
    for one in read.receivers:
        open_receiver(one)
    root = tree(read.route)
    count = counted(len(read.receivers), "receiver")
    print(f"{file}: {count}, {counted(sum(1 for _ in flat(root)), 'route')}, all good")
    for one in read.receivers:
        fallback = f", then {one.fallback}" if one.fallback else ""
        print(f"{one.name}: {one.kind}{fallback}")


def explain(texts: Sequence[str], file: str, arguments: Nested, config: Path | None) -> None:
    """Prints the way of an alert through the tree.

    Raises:
        BadSettings: There is no file, or it cannot be used; a label cannot be read.
    """
    named = file or load(arguments, config=config).settings.notify.file
    if not named:
        raise BadSettings("there is no file of receivers and routes: name it with --file, or set notify.file")
    labels = dict(map(_label, texts))
    root = tree(load_notify(Path(named).expanduser()).route)
    taken = {route.path for route in routes_of(root, labels)}
    for depth, route, why in explained(root, labels):
        name = route.path.rpartition("/")[2] if depth else "{}"
        said = why or (f"tells {route.receiver}" if route.path in taken else "matches")
        print(f"{'  ' * depth}{'✗' if why else '✓'} {name}  {said}")
    for route in routes_of(root, labels):
        print(_times(route, route.group(labels)))


def _label(text: str) -> tuple[str, str]:
    name, equal, value = text.partition("=")
    if not (name and equal):
        raise BadSettings(f"{text!r} is no label: write source=web-1")
    return name, value.strip('"')


def _times(route: Route, group: dict[str, str]) -> str:
    together = ", ".join(f"{name}={value}" for name, value in group.items()) or "all of this route"
    first, later, again = (
        duration(one / 1000) for one in (route.group_wait_ms, route.group_interval_ms, route.repeat_interval_ms)
    )
    times = f"first after {first}, news every {later} at most, again after {again}"
    return f"{route.receiver}: together with {together}; {times}"
