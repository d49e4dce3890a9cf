"""Events for many clients, and rates of keys: what holds whatever happens."""

from hypothesis import given
from hypothesis import strategies as st

from api.broadcast import RECENT, WAITING, Broadcast, Client, Event
from api.rates import Rates


def client(kinds: frozenset[str] = frozenset({"a", "b"})) -> Client:
    return Client(lambda event: event.kind in kinds or event.kind == "reset", lambda: None)


def taken(one: Client) -> list[tuple[int, str]]:
    return [(event.number, event.kind) for event in one.take()]


@given(st.lists(st.sampled_from("ab"), max_size=60), st.integers(0, 60))
def test_a_client_that_comes_back_hears_what_it_missed_and_nothing_twice(kinds: list[str], after: int) -> None:
    broadcast, whole = Broadcast(), client()
    broadcast.join(whole, None)
    for kind in kinds:
        broadcast.tell(kind, "{}")
    everything = taken(whole)
    late = client()
    broadcast.join(late, after)
    if after > len(kinds):
        assert [kind for _, kind in taken(late)] == ["reset"]
    else:
        assert taken(late) == [one for one in everything if one[0] > after]


def test_a_client_that_comes_back_too_late_is_told_so() -> None:
    broadcast = Broadcast()
    for _ in range(RECENT + 5):
        broadcast.tell("a", "{}")
    late = client()
    broadcast.join(late, 3)
    assert taken(late) == [(RECENT + 5, "reset")]


def test_a_slow_client_is_told_how_much_it_missed_and_others_miss_nothing() -> None:
    broadcast, slow, quick = Broadcast(), client(), client()
    broadcast.join(slow, None)
    broadcast.join(quick, None)
    heard = []
    for _ in range(WAITING + 10):
        broadcast.tell("a", "{}")
        heard += taken(quick)
    assert [number for number, _ in heard] == list(range(1, WAITING + 11))
    told = list(slow.take())
    assert (told[0].kind, told[0].data) == ("skipped", f'{{"events":{WAITING}}}')
    assert [one.number for one in told[1:]] == list(range(WAITING + 1, WAITING + 11))
    assert list(slow.take()) == []


def test_a_client_hears_what_it_wants_and_nothing_when_it_has_gone() -> None:
    broadcast, one = Broadcast(), client(frozenset("b"))
    broadcast.join(one, None)
    for kind in "abab":
        broadcast.tell(kind, "{}")
    assert taken(one) == [(2, "b"), (4, "b")]
    broadcast.leave(one)
    broadcast.leave(one)
    broadcast.tell("b", "{}")
    assert taken(one) == []
    assert isinstance(broadcast.recent[0], Event)


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 200)), max_size=40))
def test_a_bucket_never_gives_more_than_its_burst_and_its_rate(asked: list[tuple[int, int]]) -> None:
    rates, at_ms, let_through = Rates(per_s=100.0, burst_s=2.0), 0, 0
    for passed_ms, count in asked:
        at_ms += passed_ms
        wait_s = rates.wait_s("k", count, at_ms)
        assert 0 <= wait_s <= 2.0
        let_through += 0 if wait_s else count
        if wait_s:
            assert rates.wait_s("k", count, at_ms + int(wait_s * 1000) + 1) == 0
            at_ms += int(wait_s * 1000) + 1
            let_through += count
    assert let_through <= 200 + 100 * at_ms / 1000 + 1e-6
