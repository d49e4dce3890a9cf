"""The spool: what it returned for survives, in order; what it cannot hold is counted."""

from pathlib import Path

import pytest

from connect.spool import Spool, Waiting
from schemas.errors import BadSettings


def waiting(*numbers: int) -> list[Waiting]:
    """Some records."""
    return [Waiting("metrics.samples", f"k{number}", b'{"n":%d' % number) for number in numbers]


def drained(spool: Spool) -> list[Waiting]:
    """Everything that waits, oldest first; forgotten after."""
    found: list[Waiting] = []
    while records := spool.oldest():
        found += records
        spool.forget_oldest()
    return found


def test_records_come_back_in_order_and_after_a_restart(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=1 << 20, segment_bytes=64)
    spool.append(waiting(1, 2))
    spool.append(waiting(3))
    spool.close()
    again = Spool(tmp_path, max_bytes=1 << 20, segment_bytes=64)
    assert len(again) == 3
    again.append(waiting(4))
    assert drained(again) == waiting(1, 2, 3, 4)
    assert again.oldest() == []
    again.close()


def test_a_full_spool_drops_the_oldest_and_counts_them(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=300, segment_bytes=100)
    for number in range(20):
        spool.append(waiting(number))
    left = drained(spool)
    assert spool.dropped > 0
    assert left == waiting(*range(spool.dropped, 20))
    spool.close()


def test_a_file_that_was_cut_anywhere_gives_a_clean_prefix(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "whole", max_bytes=1 << 20)
    spool.append(waiting(1, 2, 3))
    spool.close()
    (file,) = (tmp_path / "whole").glob("*.spool")
    data = file.read_bytes()
    for length in range(len(data) + 1):
        folder = tmp_path / f"cut-{length}"
        folder.mkdir()
        (folder / file.name).write_bytes(data[:length])
        cut = Spool(folder, max_bytes=1 << 20)
        found = drained(cut)
        assert found == waiting(1, 2, 3)[: len(found)]
        assert len(found) == 3 or length < len(data)
        cut.close()


def test_what_is_written_after_a_torn_tail_is_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=1 << 20)
    spool.append(waiting(1, 2))
    spool.close()
    (file,) = tmp_path.glob("*.spool")
    file.write_bytes(file.read_bytes()[:-3])
    torn = Spool(tmp_path, max_bytes=1 << 20)
    torn.append(waiting(3))
    torn.close()
    again = Spool(tmp_path, max_bytes=1 << 20)
    assert drained(again) == waiting(1, 3)
    again.close()


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=1 << 20)
    with pytest.raises(BadSettings, match="in use"):
        Spool(tmp_path, max_bytes=1 << 20)
    spool.close()
