"""The examples of the page on notifications can be used as they stand there."""

import re
from pathlib import Path

import pytest

from sinks.notify.receivers import open_receiver
from sinks.notify.receivers.texts import Wording
from tests.notify.notices import notice
from watchkeeper.notify_file import parse_notify

PAGE = Path(__file__).parents[2] / "docs" / "notifications.md"
TEXT = PAGE.read_text()


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(version.*?)```", TEXT, re.DOTALL))
def test_every_file_of_the_page_is_accepted(example: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("https://hooks.example/T0KEN")
    file = parse_notify(re.sub(r"(_file: )[^},\n]+", rf"\1{tmp_path / 'secret'}", example).encode(), "example")
    assert [open_receiver(one).name for one in file.receivers] == [one.name for one in file.receivers]


def test_the_template_of_the_page_writes_what_it_promises() -> None:
    (template,) = re.findall(r"```jinja\n(.*?)\n```", TEXT)
    assert Wording(template, None)(notice()).title == (
        "1 alerts: cpu-busy on web-1 is firing since 1970-01-01 00:00:10 UTC"
    )
