"""Videos encoded anew keep their frames, times and labels."""

import numpy as np
import pytest

from rvmae_jax.data.decoding import VideoError, open_record, probe
from rvmae_jax.data.encoding import Encoding, encode_record

TIMES_S = np.array([0.0, 0.04, 0.1, 0.11, 0.5, 0.53, 0.6, 1.0])
# Frame i is grey 20 i.
RECORD = {
  'path': 'greys',
  'label': 3,
  'columns': {'site': 'north'},
  'frames': np.broadcast_to(
    20 * np.arange(8, dtype=np.uint8)[:, None, None, None], (8, 90, 121, 3)
  ),
  'timestamps_s': TIMES_S,
}


@pytest.mark.parametrize(
  ('codec', 'shape'), [('h264', (48, 64, 3)), ('jpeg', (48, 65, 3))]
)
def test_frames_and_times_are_kept_and_sides_scaled(codec, shape):
  encoding = Encoding(codec=codec, short_side=48, gop=3)
  encoded, num_frames = encode_record(RECORD, encoding)
  assert (encoded['path'], encoded['label'], num_frames) == ('greys', 3, 8)
  assert encoded['columns'] == {'site': 'north'}
  with open_record(encoded) as reader:
    np.testing.assert_allclose(reader.timestamps_s, TIMES_S, atol=1e-5)
    frames = reader.read(range(8))
  assert frames.shape == (8, *shape)
  np.testing.assert_allclose(
    frames.mean((1, 2, 3)), 20 * np.arange(8), atol=1.5
  )


def test_the_same_frames_are_the_same_bits():
  # With its code for AVX-512, libx264 wrote one in 50 of these otherwise.
  drawn = np.random.default_rng(0).normal(size=(16, 32, 32, 3))
  drawn = drawn.cumsum(1).cumsum(2)
  drawn = 255 * (drawn - drawn.min()) / np.ptp(drawn)
  record = {'path': 'drawn', 'label': 0, 'frames': drawn.astype(np.uint8)}
  encoding = Encoding(short_side=0, gop=16, crf=38)
  encoded = {encode_record(record, encoding)[0]['video'] for _ in range(200)}
  assert len(encoded) == 1


def test_trims_are_applied():
  record = {**RECORD, 'start_s': 0.1}
  encoded, num_frames = encode_record(record, Encoding(max_seconds=0.45))
  assert num_frames == 4  # 0.1, 0.11, 0.5 and 0.53 s.
  with open_record(encoded) as reader:
    np.testing.assert_allclose(
      reader.timestamps_s, [0, 0.01, 0.4, 0.43], atol=1e-5
    )


def test_small_videos_are_not_enlarged():
  info = probe(encode_record(RECORD, Encoding(short_side=256))[0]['video'])
  assert (info.width, info.height) == (120, 90)
  assert (info.codec, info.pixel_format) == ('h264', 'yuv420p')


def test_what_cannot_be_read_is_an_error():
  with pytest.raises(VideoError, match='bad: Invalid data'):
    encode_record({'path': 'bad', 'label': 0, 'video': b'x' * 99}, Encoding())
  with pytest.raises(ValueError, match="codec='av1' is not one of"):
    encode_record(RECORD, Encoding(codec='av1'))
