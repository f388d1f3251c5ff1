import numpy as np

from rvmae_jax.visualize.batch import draw_batch, hide_patches, hide_tubelets


def test_all_but_the_visible_patches_turn_grey():
  frames = np.full((2, 4, 6, 3), 7, np.uint8)
  seen = hide_patches(frames, np.array([[0], [5]]), patch_size=2)
  expected = np.full((2, 4, 6, 3), 128, np.uint8)
  expected[0, :2, :2] = 7  # token 0: top left of a 2 x 3 grid
  expected[1, 2:, 4:] = 7  # token 5: bottom right
  np.testing.assert_array_equal(seen, expected)


def _titles(figure):
  return [axes.get_title() for axes in figure.axes]


def test_columns_are_sources_targets_and_what_is_seen():
  batch = {
    'video': np.zeros((3, 2, 4, 4, 3), np.uint8),
    'target': np.zeros((3, 1, 4, 4, 3), np.uint8),
    'target_delta': np.array([[5], [6], [7]]),
    'ids_keep': np.zeros((3, 1, 1), int),
    'label': np.array([8, -1, 9]),
  }
  figure = draw_batch(batch, patch_size=2, num_rows=2)
  assert _titles(figure) == [
    *('0 (class 8)', '1', '+5', '+5 seen'),
    *('0', '1', '+6', '+6 seen'),
  ]


def test_a_second_view_follows_the_first():
  clips = np.zeros((1, 2, 4, 4, 3), np.uint8)
  figure = draw_batch({'video': clips, 'view2': clips}, patch_size=2)
  assert _titles(figure) == ['0', '1', 'view 2: 0', 'view 2: 1']


def test_a_batch_of_nothing_but_video():
  batch = {'video': np.zeros((1, 3, 4, 4, 3), np.uint8)}
  assert _titles(draw_batch(batch, patch_size=2)) == ['0', '1', '2']


def test_of_a_masked_clip_a_second_row_shows_what_is_seen():
  video = np.full((1, 4, 4, 4, 3), 7, np.uint8)
  # A grid of 2 x 2 x 2 tokens: one seen, two to be rebuilt, the others neither.
  ids_keep, ids_mask = np.array([[1]]), np.array([[2, 7]])
  seen = hide_tubelets(video[0], ids_keep, ids_mask, 2, tubelet_size=2)
  assert (seen[:2, :2, 2:] == 7).all()
  assert (seen[:2, 2:, :2] == 128).all()
  assert (seen[2:, 2:, 2:] == 128).all()
  assert (seen == 50).mean() == 5 / 8
  batch = {'video': video, 'ids_keep': ids_keep, 'ids_mask': ids_mask}
  figure = draw_batch(batch, patch_size=2, tubelet_size=2)
  numbers = ['0', '1', '2', '3']
  seen = [f'{number} seen' for number in numbers]
  assert _titles(figure) == numbers + seen
  # No empty axes below a second view.
  figure = draw_batch(batch | {'view2': video}, patch_size=2, tubelet_size=2)
  views = [f'view 2: {number}' for number in numbers]
  assert _titles(figure) == numbers + views + seen
