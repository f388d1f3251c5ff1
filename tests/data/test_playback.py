import numpy as np
import pytest

from rvmae_jax.data.clips import CLIPS

FPS_25 = np.arange(1000) / 25
UNIFORM = {'name': 'uniform', 'num_frames': 4, 'stride': 4}


def _playback(clip=UNIFORM, **arguments):
  return CLIPS.build({'name': 'playback', 'clip': clip, **arguments})


def _play(num_frames, seed=0, **arguments):
  rng = np.random.default_rng(seed)
  return _playback(**arguments).play(FPS_25[:num_frames], rng)


@pytest.mark.parametrize(
  ('speed', 'played'),
  [
    (1.0, [0, 1, 2, 3, 4, 5, 6]),
    (2.0, [0, 2, 4, 6]),
    (3.0, [0, 3, 6]),
    (1.5, [0, 1, 3, 4, 6]),
    (0.5, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6]),
    (100.0, [0]),
  ],
)
def test_speed_leaves_frames_out_or_repeats_them(speed, played):
  frames, shown_s = _play(7, speed=(speed, speed))
  assert frames.tolist() == played
  # Whatever the speed, it is shown at the video's own frame rate.
  np.testing.assert_allclose(shown_s, np.arange(len(played)) / 25)


def test_speeds_are_log_uniform():
  # Twice as slow and twice as fast are as likely: 100 frames become 50 to 199.
  counts = np.array(
    [len(_play(100, seed, speed=(0.5, 2.0))[0]) for seed in range(600)]
  )
  assert (counts.min(), counts.max()) >= (50, 190)
  assert abs(np.mean(counts < 100) - 0.5) < 0.08  # four standard deviations
  assert abs(np.mean(counts < 71) - 0.25) < 0.08


def test_speed_follows_the_clock_at_a_variable_frame_rate():
  timestamps_s = np.array([0, 0.1, 0.3, 0.4, 0.8])
  playback = _playback(speed=(2.0, 2.0))
  frames, shown_s = playback.play(timestamps_s, np.random.default_rng(0))
  assert frames.tolist() == [0, 2, 4]
  np.testing.assert_allclose(shown_s, [0, 0.15, 0.4])


def test_skipped_frames_are_lost_and_the_others_close_ranks():
  frames, shown_s = _play(1000, skip=0.3)
  assert abs(len(frames) - 700) < 58  # four standard deviations
  gaps = np.diff(frames)
  assert gaps.min() == 1
  assert abs(np.mean(gaps == 1) - 0.7) < 0.07
  np.testing.assert_allclose(shown_s, np.arange(len(frames)) / 25)


def test_one_frame_is_left_at_least():
  for seed in range(20):
    frames, shown_s = _play(2, seed, skip=0.99)
    assert len(frames) == len(shown_s) >= 1


def test_jitter_moves_each_frame_on_its_own():
  frames, _ = _play(1000, jitter_frames=2)
  moves = frames - np.arange(1000)
  assert set(moves) == {-2, -1, 0, 1, 2}
  assert abs(np.corrcoef(moves[:-1], moves[1:])[0, 1]) < 0.12
  assert 0 <= frames.min() <= frames.max() <= 999


def test_jittered_strides_keep_the_order_below_half_a_stride():
  playback = _playback(jitter_frames=1)
  strides = set()
  for seed in range(200):
    clip = playback(FPS_25[:100], np.random.default_rng(seed))
    strides |= set(np.diff(clip.frames['video']).tolist())
  assert strides == {2, 3, 4, 5, 6}


def test_reverse_plays_backwards_on_a_clock_that_runs_forwards():
  timestamps_s = np.array([0, 0.1, 0.3, 0.4])
  playback = _playback(reverse=1.0)
  frames, shown_s = playback.play(timestamps_s, np.random.default_rng(0))
  assert frames.tolist() == [3, 2, 1, 0]
  np.testing.assert_allclose(shown_s, [0, 0.1, 0.3, 0.4])
  num_reversed = sum(
    _play(3, seed, reverse=0.25)[0][0] == 2 for seed in range(400)
  )
  assert abs(num_reversed - 100) < 35  # four standard deviations


def test_a_clip_counts_steps_of_what_is_played():
  # Backwards at double speed: two frames a step, towards the beginning.
  clip = {'name': 'source_target', 'num_target': 2, 'gaps': (1, 3)}
  playback = _playback(clip, speed=(2.0, 2.0), reverse=1.0)
  drawn = playback(FPS_25[:101], np.random.default_rng(0))
  start = drawn.frames['video'][0]
  assert (drawn.frames['video'] - start).tolist() == [0, -2, -4, -6]
  assert (drawn.frames['target'] - start).tolist() == [-8, -12]
  assert drawn.entries['target_delta'].tolist() == [4, 6]


def test_seconds_of_a_step_are_those_on_the_screen():
  clip = {'name': 'uniform', 'num_frames': 4, 'step_s': 0.2}
  playback = _playback(clip, speed=(2.0, 2.0))
  drawn = playback(FPS_25, np.random.default_rng(0))
  assert np.diff(drawn.frames['video']).tolist() == [10, 10, 10]


def test_a_seed_repeats_it_and_evaluation_plays_the_video_as_it_is():
  arguments = {
    'speed': (0.5, 2.0), 'skip': 0.2, 'jitter_frames': 1, 'reverse': 0.5
  }  # fmt: skip
  playback = _playback(**arguments)

  def draw(seed):
    clip = playback(FPS_25, np.random.default_rng(seed))
    return clip.frames['video'].tolist()

  assert [draw(s) for s in range(9)] == [draw(s) for s in range(9)]
  assert len({tuple(draw(s)) for s in range(9)}) == 9
  plain = CLIPS.build(UNIFORM)(FPS_25).frames['video']
  np.testing.assert_array_equal(playback(FPS_25).frames['video'], plain)


@pytest.mark.parametrize('num_frames', [1, 2, 5])
def test_short_videos_give_whole_clips(num_frames):
  playback = _playback(speed=(0.3, 3.0), skip=0.5, jitter_frames=3, reverse=0.5)
  for seed in range(50):
    clip = playback(FPS_25[:num_frames], np.random.default_rng(seed))
    frames = clip.frames['video']
    assert len(frames) == 4
    assert 0 <= frames.min() <= frames.max() < num_frames


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'speed': (0.0, 1.0)}, r'playback.speed=\(0.0, 1.0\)'),
    ({'speed': (2.0, 1.0)}, r'playback.speed=\(2.0, 1.0\)'),
    ({'skip': 1.0}, 'skip=1.0'),
    ({'jitter_frames': -1}, 'jitter_frames=-1'),
    ({'reverse': 1.5}, 'reverse=1.5'),
    ({'sped': (1.0, 2.0)}, "Did you mean 'speed'"),
    ({'clip': {'name': 'uniform', 'frames': 4}}, "Did you mean 'num_frames'"),
  ],
)
def test_senseless_settings_are_refused(arguments, message):
  with pytest.raises(ValueError, match=message):
    _playback(**arguments)
