"""The sections of a report: which evaluations, in which order, under what name.

An evaluation that no section lists has one of its own, with its numbers as they
are and its pictures.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from etils import epath

from rvmae_jax.evals import leakage
from rvmae_jax.tools.reporting import tables as report_tables
from rvmae_jax.visualize import page

# What a report knows of evaluations, see `report_tables`.
Results = Mapping[str, Any]


class Section(NamedTuple):
  """A heading, and what stands below it.

  Attributes:
    heading: of the section.
    evaluations: names, not aliases, of what belongs here.
    tables: makes HTML of their results.
  """

  heading: str
  evaluations: tuple[str, ...]
  tables: Callable[[Results], str]


SECTIONS = (
  Section(
    'Reconstruction of what is hidden',
    ('reconstruction', 'clip_reconstruction'),
    report_tables.reconstruction_tables,
  ),
  Section(
    'Recognition from frozen features',
    ('linear_probe', 'attentive_probe', 'knn'),
    report_tables.probe_tables,
  ),
  Section('Recognition', ('accuracy',), report_tables.plain_tables),
  Section('Retrieval', ('retrieval',), report_tables.retrieval_tables),
  Section(
    'Temporal localization', ('localization',), report_tables.plain_tables
  ),
  Section(
    'Label propagation', ('label_propagation',), report_tables.plain_tables
  ),
  Section(
    'Depth, points and boxes',
    ('depth', 'point_tracking', 'box_tracking'),
    report_tables.plain_tables,
  ),
  Section('Long videos', ('long_video',), report_tables.plain_tables),
  Section('Robustness', ('robustness',), report_tables.plain_tables),
  Section('Uncertainty', ('uncertainty',), report_tables.plain_tables),
  Section(
    'Quality without labels',
    ('feature_quality', 'recurrence'),
    report_tables.plain_tables,
  ),
  Section('Cost', ('cost',), report_tables.plain_tables),
)

# Picture of an evaluation -> heading and what it shows.
CAPTIONS = {
  'accuracies': ('Probes beside their baselines', ''),
  'confusion': (
    'Confusion and calibration',
    'Each row is a true class: the percentage classified correctly, and the '
    'classes that the rest were mistaken for. Right: the share of correct '
    'answers at each level of confidence. Bars that reach the line are '
    'calibrated; faint bars stand for few answers.',
  ),
  'strata': (
    'Accuracy by group',
    'With 95 % intervals (Wilson); in brackets the number of videos.',
  ),
  'recalls': ('Recall@k by k', ''),
  'neighbours': (
    'Nearest neighbours',
    'Left: frames of a query. Then its nearest neighbours, nearest first; of '
    'the same class in green.',
  ),
  'reconstruction': (
    'Source, masked, rebuilt and true frames',
    'Time runs to the right: source frames up to t, then targets. The input '
    'shows hidden patches in grey. Above each rebuilt frame stands its PSNR on '
    'hidden patches in dB, and in brackets that of copying frame t.',
  ),
  'clip_reconstruction': (
    'Masked, rebuilt and true clips',
    'Time runs to the right. Grey is to be rebuilt, a darker grey is neither '
    'shown nor rebuilt.',
  ),
  'pca': (
    'Features through time',
    'The first three principal components of the recurrent features as red, '
    "green and blue, after subtracting each place's mean; one projection for "
    'all frames, so equal colours mean similar features. Frame t is encoded '
    'with all frames before it.',
  ),
  'gates': (
    'Gates through time',
    'How much of the state each place replaces (update gate) and how much of '
    'it each place reads (reset gate), as means over channels.',
  ),
  'psnr': ('PSNR by gap and mask ratio', ''),
  'timelines': (
    'What happens when',
    'Grey: true segments. Coloured: the most confident proposals of each '
    'source, as many as there are segments.',
  ),
  'tracks': (
    'Propagated labels',
    'Labels of the first frame, carried through the video by the similarity of '
    'features.',
  ),
  'depth': (
    'Depth',
    'Near is light. Below each prediction its error, as a share of the true '
    'depth.',
  ),
  'points': (
    'Points followed',
    'A hollow ring is a point that is predicted to be hidden; a white line '
    'leads to the true place of a visible point.',
  ),
  'boxes': ('Boxes followed', 'Thin and white: the true boxes.'),
  'lengths': (
    'By number of frames read',
    'With the state kept throughout, with the state reset regularly, and with '
    'random weights.',
  ),
  'robustness': ('Accuracy and similarity by severity', ''),
  'corruptions': ('Corrupted videos', ''),
  'maps': (
    'Rebuilt under several masks',
    'True frame, mean of what was rebuilt, its error, and the spread over '
    'masks.',
  ),
  'spread': ('Does the spread predict the error?', ''),
  'spectrum': ('Spectrum of features, and spread of their channels', ''),
  'cost': ('Time and memory', ''),
}


def evaluation_sections(
  results: Results, folder: epath.Path
) -> list[tuple[str, str]]:
  """Heading and HTML of every section that has something to show.

  Args:
    results: `evaluations` of metrics.json.
    folder: what the paths of pictures start from.
  """
  listed = {name for section in SECTIONS for name in section.evaluations}
  others = dict.fromkeys(
    result['name']
    for result in results.values()
    if result['name'] not in listed
  )
  others = [
    Section(
      name.replace('_', ' ').capitalize(), (name,), report_tables.plain_tables
    )
    for name in others
  ]
  found = []
  for section in (*SECTIONS, *others):
    own = {
      alias: result
      for name in section.evaluations
      for alias, result in results.items()
      if result['name'] == name
    }
    if own:
      content = page.join(
        *_leaks(own), section.tables(own), *_pictures(own, folder)
      )
      found.append((section.heading, content))
  return found


def _leaks(results: Results) -> Iterable[str]:
  """What cannot be trusted, first of all."""
  for alias, result in results.items():
    text = leakage.of_result(result)
    if text:
      yield page.note(
        page.join(page.bold('Not to be trusted:'), f' {alias}: {text}')
      )


def _pictures(results: Results, folder: epath.Path) -> Iterable[str]:
  """The first picture of each kind; those of other evaluations folded away."""
  shown = set()
  for alias, result in results.items():
    for path in map(epath.Path, result['pictures']):
      # Numbers and `film` tell pictures of a kind apart.
      kind = re.sub(r'(_\d+)?(_film)?$', '', path.stem)
      heading, caption = CAPTIONS.get(
        kind, (kind.replace('_', ' ').capitalize(), '')
      )
      if not (folder / path).exists():
        yield page.note(f'The picture {path} is not there any more.')
        continue
      content = (folder / path).read_bytes()
      if path.suffix == '.mp4':
        yield page.film(content, caption)
      elif kind in shown:
        name = f'{heading}: {alias.replace("_", " ")}'
        yield page.fold(name, page.figure(content, name, caption))
      else:
        shown.add(kind)
        figure = page.figure(content, heading, caption)
        yield page.subsection(heading, figure)
