import logging

import numpy as np
import pytest

from rvmae_jax.data import bad_videos
from rvmae_jax.data.bad_videos import BadVideoGuard, read_or_replace
from rvmae_jax.data.decoding import VideoError


@pytest.fixture(autouse=True)
def _forget_what_was_logged(monkeypatch):
  monkeypatch.setattr(bad_videos, '_logged', set())


def _reader(bad: set[int]):
  """Gives back a record, unless it is one of the bad ones."""

  def read(record):
    if record in bad:
      raise VideoError(f'video_{record}.mp4', 'no frames')
    return record

  return read


def test_a_good_video_is_read():
  assert read_or_replace(range(10), 3, _reader(set())) == (3, 0)


def test_the_next_good_video_replaces_a_bad_one():
  assert read_or_replace(range(10), 3, _reader({3})) == (4, 1)
  assert read_or_replace(range(10), 3, _reader({3, 4, 5, 8})) == (6, 3)


def test_the_first_follows_the_last():
  assert read_or_replace(range(10), 9, _reader({9, 0})) == (1, 2)


def test_sixteen_tries_are_enough_or_too_many():
  assert read_or_replace(range(99), 0, _reader(set(range(15)))) == (15, 15)
  with pytest.raises(VideoError, match=r'video_0\.mp4: no frames; .* the 15 '):
    read_or_replace(range(99), 0, _reader(set(range(16))))


def test_a_small_source_is_tried_once_around():
  with pytest.raises(VideoError, match=r'video_1\.mp4: no frames; .* the 2 '):
    read_or_replace(range(3), 1, _reader({0, 1, 2}))


def test_other_errors_are_not_hidden():
  with pytest.raises(ZeroDivisionError):
    read_or_replace(range(3), 0, lambda record: 1 / record)


def test_path_and_reason_are_logged_once(caplog):
  with caplog.at_level(logging.WARNING, logger='absl'):
    for _ in range(3):
      read_or_replace(range(10), 3, _reader({3, 4}))
  messages = [record.getMessage() for record in caplog.records]
  assert len(messages) == 2
  assert 'video_3.mp4: no frames' in messages[0]
  assert 'video_4.mp4: no frames' in messages[1]


def test_the_guard_counts_replaced_rows():
  guard = BadVideoGuard(max_share=0.5)
  guard.update(np.array([0, 3, 0, 1]))
  guard.update(np.array([0, 0, 0, 2]))
  assert guard.metrics() == {'data/bad_videos': 3.0}


def test_the_guard_waits_and_then_stops_the_run():
  guard = BadVideoGuard(max_share=0.2, min_rows=100)
  guard.update(np.ones(36))  # All of them, too early to tell.
  # Of 100 rows 20 +- 4 are bad by chance, so 36 are borne.
  guard.update(np.zeros(64))
  with pytest.raises(RuntimeError, match=r'37 of 101 rows .* allow 36\.'):
    guard.update(np.ones(1))


def test_rows_of_one_video_are_bad_together():
  # 400 rows of 100 videos: 80 +- 16 rows, where rows alone would have +- 8.
  borne = np.arange(400) < 80 + 4 * 16
  BadVideoGuard(max_share=0.2, repeats=4).update(borne)
  with pytest.raises(RuntimeError, match='allow 112'):
    BadVideoGuard(max_share=0.2).update(borne)


def test_a_run_that_allows_no_bad_video_stops_at_the_first():
  guard = BadVideoGuard(max_share=0.0)
  guard.update(np.zeros(100))
  with pytest.raises(RuntimeError, match='1 of 101 rows'):
    guard.update(np.ones(1))
