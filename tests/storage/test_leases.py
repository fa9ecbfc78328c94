"""Leases: one holder at a time, one that is gone is found out, and no two clocks are compared."""

import json
import threading
from dataclasses import replace

import pytest

from storage.leases import Holder, Leases, LeaseTiming
from tests.object_stores import QUICK, memory_objects

STILL = LeaseTiming(beat=1000.0, patience=60.0, poll=2.0)
NAME = "leases/train_vae/k.json"


class Clock:
    """Seconds that pass only while somebody sleeps; something may happen meanwhile."""

    def __init__(self, meanwhile=lambda clock: None) -> None:
        self.now, self.meanwhile = 0.0, meanwhile

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile(self)


def leases(objects, owner, clock=None, timing=STILL, host="") -> Leases:
    clock = clock or Clock()
    made = Leases(objects, owner, timing, clock, clock.sleep)
    made.host = host or owner
    return made


def holder(objects) -> Holder | None:
    read = objects.get(NAME)
    return None if read is None else Holder.from_bytes(read.content)


def test_a_lease_says_who_holds_it_and_is_gone_when_released():
    objects = memory_objects()
    with leases(objects, "a").hold("train_vae/k", "builds stage train_vae", ["d1"]) as lease:
        found = holder(objects)
        assert (found.host, found.owner, found.reads, found.beats) == ("a", "a", ("d1",), 0)
        assert found.token == lease.holder.token
    assert objects.list("leases") == []


def test_a_holder_that_is_gone_is_taken_over_after_the_waiters_own_patience(caplog):
    objects, clock = memory_objects(), Clock()
    dead = leases(objects, "a")._take(NAME, leases(objects, "a")._holder("builds stage x", []))
    with leases(objects, "b", clock).hold("train_vae/k", "builds stage x"):
        assert clock.now == 60.0
        assert holder(objects).host == "b"
    said = f"process {dead.holder.pid} on a (since {dead.holder.since}), which builds stage x"
    assert caplog.messages == [f"Waiting for {said}.", f"{said} is gone: this process takes over."]


@pytest.mark.parametrize("since", ["1970-01-01 00:00:00+00:00", "2999-12-31 23:59:59+00:00", "?"])
def test_a_wrong_clock_neither_costs_a_living_holder_its_lease_nor_keeps_a_dead_one(since):
    objects = memory_objects()
    far = leases(objects, "a")
    lease = far._take(NAME, replace(far._holder("builds stage x", []), since=since))

    def beats_for_ten_minutes(clock):
        if clock.now < 600:
            lease.renew()

    clock = Clock(beats_for_ten_minutes)
    with leases(objects, "b", clock).hold("train_vae/k", "builds stage x"):
        assert clock.now == 658.0  # its last sign of life was at 598
    assert not lease.lost.is_set()


def test_what_a_process_of_the_same_working_store_left_is_taken_over_at_once():
    objects, clock = memory_objects(), Clock()
    before = leases(objects, "a")
    before._take(NAME, before._holder("builds stage x", []))
    with leases(objects, "a", clock).hold("train_vae/k", "builds stage x"):
        assert clock.now == 0
    before._take(NAME, before._holder("builds stage x", []))
    with leases(objects, "a", clock, host="its copy").hold("train_vae/k", "builds stage x"):
        assert clock.now == 60.0


def test_who_was_taken_over_notices_and_leaves_the_lease_alone(caplog):
    objects = memory_objects()
    first = leases(objects, "a")
    lost = first._take(NAME, first._holder("builds stage x", []))
    with leases(objects, "b").hold("train_vae/k", "builds stage x"):
        lost.renew()
        assert lost.lost.is_set()
        assert "was taken over" in caplog.messages[-1]
        lost.release()
        assert holder(objects).host == "b"
    assert objects.list("leases") == []


def test_an_answer_that_went_astray_costs_no_lease():
    objects = memory_objects()
    own = leases(objects, "a")
    lease = own._take(NAME, own._holder("builds stage x", []))
    written = replace(lease.holder, beats=1).to_bytes()
    objects.replace(NAME, written, lease.version)  # this process's, unknown to it
    lease.renew()
    assert not lease.lost.is_set()
    lease.renew()
    assert holder(objects).beats == 2


def test_a_damaged_lease_is_one_of_somebody_who_is_gone(caplog):
    objects, clock = memory_objects(), Clock()
    objects.create(NAME, b"{")
    with leases(objects, "b", clock).hold("train_vae/k", "builds stage x"):
        assert clock.now == 60.0
    assert caplog.messages[0] == "Waiting for another process, which builds stage x."


def test_the_living_are_told_from_the_dead():
    objects = memory_objects()
    lives, dead = (leases(objects, name) for name in ("a", "b"))
    beating = lives._take("leases/s/1.json", lives._holder("builds stage s", ["d"]))
    dead._take("leases/s/2.json", dead._holder("builds stage s", []))
    clock = Clock(lambda clock: beating.renew())
    asking = leases(objects, "c", clock)
    assert [name for name, _ in asking.all()] == ["s/1", "s/2"]
    assert [(name, found.host, found.reads) for name, found in asking.alive()] == [
        ("s/1", "a", ("d",))
    ]
    assert clock.now == 60.0
    assert [name for name, _ in asking.all()] == ["s/1"]


def test_a_lease_for_a_moment_is_had_only_where_nobody_holds_it():
    objects = memory_objects()
    first, second = (leases(objects, name) for name in ("a", "b"))
    with first.hold_if_free("s/1", "clears") as free, second.hold_if_free("s/1", "clears") as again:
        assert (free, again) == (True, False)
    assert first.all() == []


def test_two_threads_never_hold_one_lease_at_once_and_each_gets_it():
    objects, inside, seen = memory_objects(), [], []

    def work(name):
        with Leases(objects, name, QUICK).hold("s/k", "builds"):
            inside.append(name)
            seen.append(len(inside))
            threading.Event().wait(0.02)
            inside.remove(name)

    threads = [threading.Thread(target=work, args=(f"w{k}",)) for k in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert seen == [1] * 5


def test_a_holder_beats_until_it_lets_go():
    objects = memory_objects()
    with Leases(objects, "a", QUICK).hold("train_vae/k", "builds"):
        versions = set()
        while len(versions) < 3:
            versions.add(json.loads(objects.get(NAME).content)["beats"])
    assert objects.list("leases") == []
