"""The queue before the models: order, bounds, progress, dropping, and how long jobs are kept."""

import threading

import pytest

from phrase_models.errors import ConfigurationError
from tasks.serving.song_queue import DroppedError, QueueFullError, SongQueue

SECONDS = 10.0


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Held:
    """Work that lasts until it is let go, and reports half-way."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, report):
        report(0.25)
        self.begun.set()
        assert self.go.wait(SECONDS)
        report(0.5)
        return "held"


@pytest.fixture
def held():
    work = Held()
    yield work
    work.go.set()


def test_songs_are_made_in_order_and_know_how_many_come_before_them(held):
    queue = SongQueue(size=3)
    first = queue.submit(held)
    assert held.begun.wait(SECONDS)
    made = []
    others = [queue.submit(lambda _, k=k: made.append(k) or k) for k in range(3)]
    assert [first.state, *(job.state for job in others)] == ["running", *["waiting"] * 3]
    assert first.progress == 0.25
    assert [queue.position(job) for job in (first, *others)] == [0, 1, 2, 3]
    assert (queue.num_waiting, queue.is_busy) == (3, True)
    held.go.set()
    assert [job.future.result(SECONDS) for job in (first, *others)] == ["held", 0, 1, 2]
    assert made == [0, 1, 2]
    assert [job.state for job in others] == ["done"] * 3
    assert (first.progress, queue.num_made, queue.num_failed) == (1.0, 4, 0)


def test_a_full_queue_says_when_to_come_again(held):
    queue = SongQueue(size=1)
    queue.usual_seconds = 7.4
    queue.submit(held)
    assert held.begun.wait(SECONDS)
    queue.submit(lambda _: 1)
    with pytest.raises(QueueFullError) as error:
        queue.submit(lambda _: 2)
    assert error.value.seconds == 7


def test_a_job_that_waits_leaves_the_queue_and_one_that_runs_ends_at_its_next_step(held):
    queue = SongQueue(size=2)
    running = queue.submit(held)
    assert held.begun.wait(SECONDS)
    waiting, last = queue.submit(lambda _: pytest.fail("was dropped")), queue.submit(lambda _: 3)
    queue.drop(waiting)
    assert waiting.future.cancelled()
    assert queue.position(last) == 1
    queue.drop(running)
    held.go.set()
    with pytest.raises(DroppedError):
        running.future.result(SECONDS)
    assert last.future.result(SECONDS) == 3
    assert (queue.num_made, queue.num_failed) == (1, 0)


def test_what_the_user_can_mend_is_not_logged(caplog):
    def refuse(_):
        raise ConfigurationError("Ask for less.")

    job = SongQueue(size=1).submit(refuse)
    assert isinstance(job.future.exception(SECONDS), ConfigurationError)
    assert caplog.text == ""


def test_a_failure_costs_its_song_alone(caplog):
    queue = SongQueue(size=2)
    bad = queue.submit(lambda _: 1 / 0)
    good = queue.submit(lambda _: 4)
    assert good.future.result(SECONDS) == 4
    assert isinstance(bad.future.exception(), ZeroDivisionError)
    assert (bad.state, queue.num_made, queue.num_failed) == ("failed", 1, 1)
    assert "ZeroDivisionError" in caplog.text


def test_finished_jobs_are_kept_for_a_time_and_in_number():
    clock = Clock()
    queue = SongQueue(size=5, kept_jobs=2, kept_seconds=60, clock=clock)
    jobs = []
    for number in range(4):
        clock.now = float(number)
        jobs.append(queue.submit(lambda _, k=number: k, kept=True))
        jobs[-1].future.result(SECONDS)
    assert [queue.find(job.number) for job in jobs] == [None, None, jobs[2], jobs[3]]
    clock.now = 62.5
    assert [queue.find(job.number) for job in jobs] == [None, None, None, jobs[3]]
    assert len({job.number for job in jobs}) == 4
    assert queue.find(queue.submit(lambda _: 1).number) is None


def test_the_end_drops_everything(held):
    queue = SongQueue(size=2)
    running = queue.submit(held)
    assert held.begun.wait(SECONDS)
    waiting = queue.submit(lambda _: 1)
    queue.close()
    held.go.set()
    assert waiting.future.cancelled()
    with pytest.raises(DroppedError):
        running.future.result(SECONDS)
    with pytest.raises(DroppedError):
        queue.submit(lambda _: 1)
