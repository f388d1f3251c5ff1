import numpy as np
import pytest

from rvmae_jax.data.clips import CLIPS, SourceTarget, Uniform

FPS_25 = np.arange(1000) / 25


def _many(sampler, timestamps_s, num_clips=200):
  rng = np.random.default_rng(0)
  return [sampler(timestamps_s, rng) for _ in range(num_clips)]


def test_sources_are_consecutive_and_targets_lie_in_the_gap():
  for clip in _many(SourceTarget(), FPS_25[:64]):
    video, target = clip.frames['video'], clip.frames['target']
    np.testing.assert_array_equal(np.diff(video), 1)
    gaps = target - video[-1]
    assert gaps.min() >= 4
    assert gaps.max() <= 48
    np.testing.assert_array_equal(clip.entries['target_delta'], 3 + gaps)


def test_all_gaps_and_all_starts_occur():
  clips = _many(SourceTarget(gap=(4, 8)), FPS_25[:20], num_clips=500)
  gaps = {int(g) - 3 for clip in clips for g in clip.entries['target_delta']}
  assert gaps == {4, 5, 6, 7, 8}
  starts = {int(clip.frames['video'][0]) for clip in clips}
  # 20 frames hold 4 sources and gap 8 from starts 0..8; gap 4 from 0..12.
  assert starts >= set(range(9))
  assert max(starts) <= 12


def test_targets_of_a_clip_are_drawn_independently():
  clips = _many(SourceTarget(num_target=2), FPS_25, num_clips=2000)
  gaps = np.array([clip.entries['target_delta'] for clip in clips])
  correlation = np.corrcoef(gaps.T)[0, 1]
  assert abs(correlation) < 0.08  # 3.5 standard deviations of 1/sqrt(2000)


def test_stride_counts_steps_not_frames():
  clip = SourceTarget(stride=3, gaps=(2, 4), num_target=2)(FPS_25[:100])
  start = clip.frames['video'][0]
  np.testing.assert_array_equal(clip.frames['video'] - start, [0, 3, 6, 9])
  np.testing.assert_array_equal(clip.frames['target'] - start, [15, 21])
  np.testing.assert_array_equal(clip.entries['target_delta'], [5, 7])


def test_a_warm_up_shows_the_first_frame_more_often_and_changes_nothing_else():
  plain = SourceTarget()(FPS_25[:100], np.random.default_rng(3))
  warm = SourceTarget(warm_up=2)(FPS_25[:100], np.random.default_rng(3))
  first = plain.frames['video'][:1]
  np.testing.assert_array_equal(
    warm.frames['video'], [*first, *first, *plain.frames['video']]
  )
  np.testing.assert_array_equal(warm.frames['target'], plain.frames['target'])
  delta = plain.entries['target_delta']
  np.testing.assert_array_equal(warm.entries['target_delta'], delta)


def test_evaluation_takes_the_middle_and_spreads_the_gaps():
  clip = SourceTarget(gap=(4, 40))(FPS_25[:101])
  np.testing.assert_array_equal(
    clip.entries['target_delta'] - 3, [4, 16, 28, 40]
  )
  # Frames 0..100; the clip is 43 steps long, so starts 0..57; the middle is 28.
  assert clip.frames['video'][0] == 28


def test_short_videos_shrink_the_gap_range():
  # 12 frames: the last source is 3 at the earliest, the farthest frame 11.
  clips = _many(SourceTarget(), FPS_25[:12])
  gaps = {int(g) - 3 for clip in clips for g in clip.entries['target_delta']}
  assert gaps == {4, 5, 6, 7, 8}
  assert max(clip.frames['target'].max() for clip in clips) == 11


def test_very_short_videos_play_to_and_fro():
  # 0 1 2 3 4 5 6 5 4 3 ... : the last source is 3, the target 7 steps after 0
  # for the least gap 4.
  for clip in _many(SourceTarget(num_target=1), FPS_25[:7], 5):
    np.testing.assert_array_equal(clip.frames['video'], [0, 1, 2, 3])
    np.testing.assert_array_equal(clip.frames['target'], [5])
    np.testing.assert_array_equal(clip.entries['target_delta'], [7])
  clip = SourceTarget(num_target=1)(FPS_25[:3])
  np.testing.assert_array_equal(clip.frames['video'], [0, 1, 2, 1])
  np.testing.assert_array_equal(clip.frames['target'], [1])  # 0121012|1


def test_a_video_of_one_frame_stands_still():
  for step_s in (0.0, 0.1):
    clip = SourceTarget(step_s=step_s)(FPS_25[:1])
    np.testing.assert_array_equal(clip.frames['video'], [0, 0, 0, 0])
    np.testing.assert_array_equal(clip.frames['target'], [0, 0, 0, 0])


def test_fixed_gaps_hold_in_short_videos_too():
  clip = SourceTarget(num_target=2, gaps=(2, 10))(FPS_25[:8])
  np.testing.assert_array_equal(clip.entries['target_delta'], [5, 13])
  np.testing.assert_array_equal(clip.frames['target'], [5, 1])  # 13 -> 14-13


def test_seconds_follow_the_clock_at_a_variable_frame_rate():
  # 10 fps for 0.4 s, then 20 fps.
  timestamps_s = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65])
  sampler = SourceTarget(num_source=3, num_target=2, step_s=0.2, gaps=(1, 1))
  clip = sampler(timestamps_s)
  # From 0 s: 0, .2, .4 and .6 s. A start at .1 s would still end before .65 s
  # only up to .7 s, so 0 is the only start.
  np.testing.assert_array_equal(clip.frames['video'], [0, 2, 4])
  np.testing.assert_array_equal(clip.frames['target'], [8, 8])


def test_seconds_give_the_same_times_at_any_frame_rate():
  sampler = SourceTarget(step_s=0.2, gaps=(1, 2, 3, 4))
  for fps in (10, 15, 25, 29.97, 60):
    timestamps_s = np.arange(int(10 * fps)) / fps
    clip = sampler(timestamps_s)
    frames = np.concatenate([clip.frames['video'], clip.frames['target']])
    times_s = timestamps_s[frames] - timestamps_s[frames[0]]
    assert np.abs(times_s - 0.2 * np.arange(8)).max() <= 0.5 / fps + 1e-9


def test_seconds_shrink_the_gap_range_by_time():
  # 2 s at 50 fps and steps of 0.2 s: frames at steps 0..9, so gaps 4..6.
  clips = _many(SourceTarget(step_s=0.2), np.arange(100) / 50)
  gaps = {int(g) - 3 for clip in clips for g in clip.entries['target_delta']}
  assert gaps == {4, 5, 6}


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'gap': (4, 61)}, 'Use gaps up to 60'),
    ({'warm_up': -1}, 'clip.warm_up=-1 must be 0 or more'),
    ({'gaps': (1, 2, 3, 64)}, 'Use gaps up to 60'),
    ({'gap': (0, 4)}, 'must be positive'),
    ({'gap': (8, 4)}, 'Gaps from 8 to 4'),
    ({'gaps': (1, 2)}, 'one gap for each target'),
    ({'stride': 2, 'step_s': 0.1}, 'set one of them'),
    ({'stride': 0}, 'clip.stride=0'),
    ({'step_s': -1.0}, 'clip.step_s=-1.0'),
    ({'num_source': 0}, 'clip.num_source=0'),
  ],
)
def test_senseless_settings_are_refused(arguments, message):
  with pytest.raises(ValueError, match=message):
    CLIPS.build({'name': 'source_target', **arguments})


def test_the_greatest_gap_is_allowed():
  clip = SourceTarget(gap=(60, 60))(FPS_25)
  np.testing.assert_array_equal(clip.entries['target_delta'], [63] * 4)


def test_uniform_spreads_over_the_video():
  # Four parts of 25 frames; their middle frames.
  clip = Uniform(num_frames=4)(FPS_25[:100])
  np.testing.assert_array_equal(clip.frames['video'], [12, 37, 62, 87])
  assert clip.entries == {}
  for clip in _many(Uniform(num_frames=4), FPS_25[:100]):
    np.testing.assert_array_equal(clip.frames['video'] // 25, [0, 1, 2, 3])


def test_uniform_repeats_frames_of_short_videos():
  clip = Uniform(num_frames=6)(FPS_25[:3])
  np.testing.assert_array_equal(clip.frames['video'], [0, 0, 1, 1, 2, 2])


def test_uniform_at_a_stride_starts_anywhere_it_fits():
  starts = set()
  for clip in _many(Uniform(num_frames=3, stride=2), FPS_25[:8]):
    np.testing.assert_array_equal(np.diff(clip.frames['video']), 2)
    starts.add(int(clip.frames['video'][0]))
  assert starts == {0, 1, 2, 3}
  assert Uniform(num_frames=3, stride=2)(FPS_25[:8]).frames['video'][0] == 1


@pytest.mark.parametrize(
  ('num_frames', 'wanted'),
  [
    # A clip spans 4 frames: starts 0 to 7, and in the middle 3.5, the earlier.
    (12, [[0, 2, 4], [3, 5, 7], [7, 9, 11]]),
    # Starts 0 to 1: they overlap, and none plays backwards.
    (6, [[0, 2, 4], [0, 2, 4], [1, 3, 5]]),
    # Too short for one: each plays 0 1 2 3 2 to and fro from the beginning.
    (4, [[0, 2, 2]] * 3),
    (1, [[0, 0, 0]] * 3),
  ],
)
def test_clips_of_a_test_start_from_the_first_place_to_the_last(
  num_frames, wanted
):
  sampler = Uniform(num_frames=3, stride=2, num_clips=3)
  frames = sampler(FPS_25[:num_frames]).frames['video']
  np.testing.assert_array_equal(frames.reshape(3, 3), wanted)


def test_starts_of_a_test_are_even_in_time_not_in_frames():
  # 10 fps for 0.4 s, then 20 fps up to 0.8 s; a clip takes 0.2 s.
  timestamps_s = np.append([0, 0.1, 0.2, 0.3], np.arange(8, 17) / 20)
  frames = Uniform(num_frames=2, step_s=0.2, num_clips=3)(timestamps_s).frames
  # At 0, 0.3 and 0.6 s.
  np.testing.assert_array_equal(frames['video'], [0, 2, 3, 6, 8, 12])


def test_clips_of_training_start_anywhere_they_fit():
  starts = set()
  for clip in _many(Uniform(num_frames=3, stride=2, num_clips=2), FPS_25[:6]):
    clips = clip.frames['video'].reshape(2, 3)
    np.testing.assert_array_equal(np.diff(clips), 2)
    starts.add(tuple(clips[:, 0]))
  assert starts == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_clips_that_are_spread_take_turns():
  # Six parts of 2 frames; their middle frames are 1, 3, ..., 11.
  clip = Uniform(num_frames=3, num_clips=2)(FPS_25[:12])
  np.testing.assert_array_equal(clip.frames['video'], [1, 5, 9, 3, 7, 11])


def test_no_clip_is_refused():
  with pytest.raises(ValueError, match=r'clip\.num_clips=0 must be at least 1'):
    Uniform(num_frames=3, stride=2, num_clips=0)


def test_two_views_are_independent_clips_of_one_sampler():
  clip = {'name': 'uniform', 'num_frames': 3, 'stride': 2}
  sampler = CLIPS.build({'name': 'two_views', 'clip': clip})
  clips = _many(sampler, FPS_25[:104], num_clips=1000)
  for drawn in clips:
    assert list(drawn.frames) == ['video', 'view2']
    for frames in drawn.frames.values():
      np.testing.assert_array_equal(np.diff(frames), 2)
  starts = [[f[0] for f in drawn.frames.values()] for drawn in clips]
  correlation = np.corrcoef(np.transpose(starts))[0, 1]
  assert abs(correlation) < 0.12  # 3.5 standard deviations of 1/sqrt(1000)
  drawn = sampler(FPS_25[:104])
  assert (drawn.frames['video'] == drawn.frames['view2']).all()


def test_two_views_keep_the_targets_of_the_first():
  clip = {'name': 'source_target', 'num_target': 2}
  sampler = CLIPS.build({'name': 'two_views', 'clip': clip})
  drawn = sampler(FPS_25[:100], np.random.default_rng(0))
  first = CLIPS.build(clip)(FPS_25[:100], np.random.default_rng(0))
  for key, frames in first.frames.items():
    np.testing.assert_array_equal(drawn.frames[key], frames)
  np.testing.assert_array_equal(
    drawn.entries['target_delta'], first.entries['target_delta']
  )


def test_a_wrapper_names_the_wrapped_samplers_typo():
  clip = {'name': 'unifrom', 'num_frames': 3}
  with pytest.raises(ValueError, match="Did you mean 'uniform'"):
    CLIPS.build({'name': 'two_views', 'clip': clip})
