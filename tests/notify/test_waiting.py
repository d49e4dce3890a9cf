"""Which notice leaves when, of those that wait for one receiver."""

import asyncio
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.notifications import Notice
from sinks.notify.waiting import Waiting
from tests.notify.notices import notice


def of(source: str, number: int) -> Notice:
    return notice(group={"source": source}, id=f"{number:032x}")


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(1, 5), st.randoms(use_true_random=False))
def test_of_a_group_one_is_under_way_and_they_leave_in_their_order(
    groups: list[str], at_once: int, random: Random
) -> None:
    async def leave() -> list[Notice]:
        waiting = Waiting(limit=len(groups) + 1)
        for number, group in enumerate(groups):
            await waiting.put(of(group, number))
        left: list[Notice] = []
        under_way: list[Notice] = []
        while len(left) + len(under_way) < len(groups) or under_way:
            if len(under_way) < at_once and waiting._first.qsize():
                under_way.append(await waiting.get())
                assert len({one.group["source"] for one in under_way}) == len(under_way)
            else:
                left.append(under_way.pop(random.randrange(len(under_way))))
                waiting.done(left[-1])
        assert waiting.count == 0
        await asyncio.wait_for(waiting.empty(), 1)
        return left

    left = asyncio.run(leave())
    for group in set(groups):
        ids = [one.id for one in left if one.group["source"] == group]
        assert ids == [of(group, number).id for number, one in enumerate(groups) if one == group]


@pytest.mark.asyncio
async def test_where_there_is_no_room_the_next_one_waits_until_one_has_ended() -> None:
    waiting = Waiting(limit=2)
    await waiting.put(of("a", 0))
    await waiting.put(of("a", 1))
    third = asyncio.create_task(waiting.put(of("b", 2)))
    first = await waiting.get()
    # The other task has had its turn.
    await asyncio.sleep(0)
    assert not third.done()
    waiting.done(first)
    await third
    assert waiting.count == 2
