"""Writes the parts of docs/ that come from code: figures and the recipe table.

  python -m rvmae_jax.tools.pages [--check]
  python -m rvmae_jax.tools.pages --checkpoint runs/quickstart

Always: the table of recipes in docs/recipes.md, from the headers of the recipes
in configs/. `--check` writes nothing, and fails if the table is out of date.
With `--checkpoint`: the figures in docs/figures, from a run and the evaluation
that `launch/quickstart.sh` leaves in it. Tables of measured numbers are made by
`rvmae_jax.tools.results`.
"""

import ast
import pathlib
import re
import sys
import textwrap

import numpy as np
from absl import app, flags

from rvmae_jax import weights
from rvmae_jax.commands import run_command
from rvmae_jax.data.pipeline import make_dataset
from rvmae_jax.data.writing import whole_file, write_whole
from rvmae_jax.tools.card import markdown
from rvmae_jax.tools.card.markdown import Markdown
from rvmae_jax.visualize.batch import hide_patches, hide_tubelets
from rvmae_jax.visualize.method import draw_masks, draw_method
from rvmae_jax.visualize.pca import pca_colours
from rvmae_jax.visualize.reconstructions import draw_reconstructions

ROOT = pathlib.Path(__file__).resolve().parents[2]
_BEGIN, _END = '<!-- recipes -->\n', '<!-- end of recipes -->'
# Two of the clips that the evaluation kept; with more, frames get small.
_NUM_CLIPS = 2

# Settings for the figure of masks: on 8x8 patches in 8 slots of one frame.
_PATCH_SIZE = 8
_MASKS = {
  'random': {'ratio': 0.75},
  'per_frame': {'ratio': 0.75},
  'tube': {'ratio': 0.9},
  'block': {'ratio': 0.75},
  'running_cell': {'ratio': 0.9},
  'motion_guided': {'ratio': 0.9},
  'frame_difference': {'ratio': 0.9},
  'space_time': {'ratio': 0.75, 'frame_ratio': 0.25},
  'target': {'ratio': 0.95},
}


def recipe_pages(configs: pathlib.Path) -> str:
  """The recipes as Markdown: a table of all, then a section for each.

  Args:
    configs: folder of recipes. A header begins with what the recipe is, holds
      its command, indented, and says `Cost:` and, where there is a number to
      compare with, `Expect`.

  Raises:
    ValueError: a header lacks its command or cost; names the recipe.
  """
  rows, sections = [], []
  for path in sorted(configs.glob('*.py')):
    header = ast.get_docstring(ast.parse(path.read_text()))
    title = header.splitlines()[0]
    command = re.search(r'^  python -m (?:.*\\\n)*.*', header, re.MULTILINE)
    cost = re.search(r'^Cost: (.*?)(?=^Expect|\Z)', header, re.M | re.S)
    expect = re.search(r'^Expect(.*)', header, re.M | re.S)
    if not command or not cost:
      raise ValueError(f'{path}: the header has no command, or no "Cost:".')
    rows.append((Markdown(f'[{path.name}](#{path.stem})'), title))
    sections += [
      f'### {path.stem}',
      title,
      markdown.code_block(textwrap.dedent(command[0]), 'bash'),
      f'**Cost:** {_in_one_line(cost[1])}',
    ]
    if expect:
      sections.append(f'**Expect**{_in_one_line(expect[1])}')
  table = markdown.table(('recipe', 'what it is'), rows)
  return '\n\n'.join([table, *sections])


def _in_one_line(text: str) -> str:
  return re.sub(r'\s+', ' ', text.rstrip())


def update_recipes(
  page: pathlib.Path, configs: pathlib.Path, *, write: bool = True
) -> bool:
  """Brings the table in a page up to date.

  Args:
    page: has the lines `<!-- recipes -->` and `<!-- end of recipes -->`.
    configs: see `recipe_pages`.
    write: whether to change the page.

  Returns:
    Whether it was out of date.
  """
  text = page.read_text()
  before, begin, rest = text.partition(_BEGIN)
  _, end, after = rest.partition(_END)
  if not begin or not end:
    raise ValueError(f'{page} lacks the line {_BEGIN.strip()} or {_END}.')
  new = f'{before}{begin}\n{recipe_pages(configs)}\n\n{end}{after}'
  if write and new != text:
    write_whole(page, new)
  return new != text


def draw_figures(checkpoint: pathlib.Path, figures: pathlib.Path) -> None:
  """Writes the figures of the pages.

  Args:
    checkpoint: a run of RVM with its `evaluation` beside.
    figures: folder to write to.
  """
  archive = checkpoint / 'evaluation' / 'reconstruction' / 'arrays.npz'
  if not archive.exists():
    raise FileNotFoundError(
      f'There is no {archive}. Evaluate the run first: python -m '
      'rvmae_jax.evaluate --config configs/eval_sprites.py --checkpoint '
      f'{checkpoint} --workdir {checkpoint}/evaluation'
    )
  clips = dict(np.load(archive))
  model, params = weights.load_model(checkpoint)
  video = (clips['video'] * 255).round().astype(np.uint8)
  features = model.apply({'params': params}, video, method='encode')
  grid = video.shape[2] // model.patch_size, video.shape[3] // model.patch_size
  # [n, T, 1 + N, D] -> [n, T, h, w, D], without CLS.
  features = np.asarray(features)[:, :, -grid[0] * grid[1] :]
  # What all clips share at a place and time says nothing about this one.
  colours = pca_colours(features - features.mean(0))
  colours = colours.reshape(*features.shape[:2], *grid, 3)
  last = len(clips['gaps']) - 1
  _write(
    figures / 'method.png',
    draw_method(
      clips['video'][0],
      colours[0],
      *(clips[key][0, last] for key in ('target', 'hidden', 'rebuilt')),
      clips['gaps'][last],
    ),
  )
  few = {
    key: clips[key][:_NUM_CLIPS]
    for key in ('video', 'target', 'rebuilt', 'hidden')
  }
  _write(
    figures / 'rebuilt.png', draw_reconstructions(**few, gaps=clips['gaps'])
  )
  _write(
    figures / 'masks.png',
    draw_masks({name: _masked_clip(name) for name in _MASKS}),
  )


def _masked_clip(name: str) -> np.ndarray:
  """The same sprites under a mask: [8, 64, 64, 3] uint8."""
  clip = {'name': 'uniform', 'num_frames': 8, 'stride': 1}
  if name == 'target':
    clip = {'name': 'source_target', 'gaps': (1, 2, 3, 4), 'gap': (1, 4)}
    clip |= {'num_source': 4, 'num_target': 4, 'stride': 1, 'step_s': 0.0}
  sprites = {
    'name': 'moving_sprites',
    'split': 'val',
    'num_videos': 12,
    'size': 64,
    'num_frames': 16,
    'num_sprites': 2,
    'background': 'busy',
  }
  dataset = make_dataset(
    {
      'sources': {'videos': sprites},
      'clip': clip,
      'crop': {'size': (64, 64)},
      'mask': {'name': name, **_MASKS[name]},
    },
    seed=0,
    batch_size=1,
    train=False,
    patch_size=_PATCH_SIZE,
  )
  batch = {key: value[0] for key, value in next(iter(dataset)).items()}
  if name == 'target':
    seen = hide_patches(batch['target'], batch['ids_keep'], _PATCH_SIZE)
    return np.concatenate([batch['video'], seen])
  ids = batch['ids_keep'], batch['ids_mask']
  return hide_tubelets(batch['video'], *ids, _PATCH_SIZE, tubelet_size=1)


def _write(path: pathlib.Path, figure) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  with whole_file(path) as partial:
    figure.savefig(partial, format='png', dpi=110)
  print(f'Wrote {path}')


def main(args: flags.FlagValues) -> None:
  """Runs the command."""
  docs = pathlib.Path(args.docs)
  if args.check and args.checkpoint:
    raise app.UsageError('--check writes nothing; leave out --checkpoint.')
  if args.checkpoint:
    draw_figures(pathlib.Path(args.checkpoint), docs / 'figures')
  stale = update_recipes(
    docs / 'recipes.md', ROOT / 'configs', write=not args.check
  )
  if args.check and stale:
    sys.exit('docs/recipes.md is out of date: python -m rvmae_jax.tools.pages')


if __name__ == '__main__':
  flags.DEFINE_string('docs', 'docs', 'Folder of the pages.')
  flags.DEFINE_string('checkpoint', '', 'A run of RVM, to draw the figures.')
  flags.DEFINE_bool('check', False, 'Write nothing; fail if out of date.')
  run_command(main)
