import pytest
from PIL import Image

from rvmae_jax.tools.show_batch import show_batch


@pytest.mark.parametrize('repeats', [1, 2])
def test_writes_a_picture_and_prints_the_shapes(
  noise_config, tmp_path, capsys, repeats
):
  noise_config.data.repeats = repeats
  show_batch(noise_config, str(tmp_path / 'batch.png'), num=3)
  with Image.open(tmp_path / 'batch.png') as picture:
    assert min(picture.size) > 100
  lines = capsys.readouterr().out.splitlines()
  rows = 3 if repeats == 1 else 4
  assert f'target           uint8  [{rows}, 2, 8, 12, 3]' in lines
  assert f'ids_keep         int32  [{rows}, 2, 3]' in lines
