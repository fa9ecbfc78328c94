"""Parts of rows on a thread each: order, threads, errors."""

import threading

import pytest
import torch

from phrase_models.vae.row_threads import equal_parts, map_on_cores


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_keep_their_order_and_each_call_has_one_thread(two_threads):
    met = threading.Barrier(2, timeout=10)  # passes only if two calls are under way at once

    def call(item: int) -> tuple[int, int]:
        met.wait()
        return 10 * item, torch.get_num_threads()

    assert map_on_cores(call, [3, 1, 2, 0]) == [(30, 1), (10, 1), (20, 1), (0, 1)]
    assert torch.get_num_threads() == 2


def test_the_number_of_threads_comes_back_after_an_error(two_threads):
    with pytest.raises(ZeroDivisionError):
        map_on_cores(lambda item: 1 // item, [1, 0])
    assert torch.get_num_threads() == 2
    started_later = []
    thread = threading.Thread(target=lambda: started_later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert started_later == [2]


@pytest.mark.parametrize(
    ("num_rows", "sizes"),
    [(0, []), (1, [1]), (16, [16]), (30, [16, 14]), (200, [100, 100]), (600, [150] * 4)],
)
def test_parts_are_nearly_equal_and_cover_all_rows(two_threads, num_rows, sizes):
    parts = equal_parts(num_rows, most=256, least=16)
    assert [len(range(num_rows)[part]) for part in parts] == sizes
    assert [row for part in parts for row in range(num_rows)[part]] == list(range(num_rows))


def test_a_small_most_wins_over_least(two_threads):
    assert [part.stop for part in equal_parts(5, most=2, least=16)] == [2, 4, 6]
