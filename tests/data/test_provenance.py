"""Licences and consent: what a list says, and who is left out for it."""

import json
import pickle

import pytest

from rvmae_jax.data import manifest
from rvmae_jax.data.provenance import (
  OTHERS,
  check_columns,
  keep_required,
  most_common,
  parse_requirements,
)
from rvmae_jax.data.sources import SOURCES
from rvmae_jax.data.sources.listing import Listing

ROWS = [
  {'consent': 'yes', 'licence': 'CC0'},
  {'consent': 'no', 'licence': 'CC0'},
  {'consent': ' YES '},
  {'licence': 'MIT'},
]
RECORDS = [{'path': f'{i}.mp4', 'columns': row} for i, row in enumerate(ROWS)]


@pytest.mark.parametrize(
  ('require', 'kept', 'left_out'),
  [
    ({}, [0, 1, 2, 3], {}),
    ({'consent': 'yes'}, [0, 2], {'consent=no': 1, 'consent=': 1}),
    ({'licence': ('cc0', 'MIT')}, [0, 1, 3], {'licence=': 1}),
    # Each counts once, for what it lacks first.
    (
      {'consent': 'Yes', 'licence': 'CC0'},
      [0],
      {'consent=no': 1, 'consent=': 1, 'licence=': 1},
    ),
  ],
)
def test_only_videos_with_what_is_required_are_kept(require, kept, left_out):
  assert keep_required(RECORDS, require, 'list') == (kept, left_out)


def test_the_log_says_how_many_were_left_out(caplog):
  keep_required(RECORDS, {'consent': 'yes'}, 'a list of four')
  expected = 'left out: consent=no (1), consent= (1).'
  assert f"2 of 4 videos of 'a list of four' are {expected}" in caplog.text


def test_a_column_that_no_video_has_is_refused():
  with pytest.raises(ValueError, match=r"'concent'.*Did you mean 'consent'"):
    check_columns(RECORDS, {'concent': 'yes'}, 'list')


def test_requirements_are_read_from_the_command_line():
  texts = ['consent=yes', 'licence=CC0', 'licence = CC BY 4.0']
  assert parse_requirements(texts) == {
    'consent': ('yes',),
    'licence': ('CC0', 'CC BY 4.0'),
  }
  for text in ('consent', 'consent=', '=yes'):
    with pytest.raises(ValueError, match='must be COLUMN=VALUE'):
      parse_requirements([text])


def test_many_values_are_counted_together():
  counts = {f'site {i}': 30 - i for i in range(25)}
  shown = most_common(counts)
  # Twenty, and 10 + 9 + 8 + 7 + 6 of the other five.
  assert (len(shown), shown['site 0'], shown[OTHERS]) == (21, 30, 40)


@pytest.fixture
def listing(tmp_path):
  """A list of three videos, two of them to be learned from with consent."""
  rows = [
    'path;split;License;CONSENT; Source ;signer',
    'a.mp4;train;CC0;yes;site;one',
    'b.mp4;train;CC0;no;;two',
    'c.mp4;train;;yes;site;two',
  ]
  for name in 'abc':
    (tmp_path / f'{name}.mp4').write_text(name)
  path = tmp_path / 'list.csv'
  path.write_text('\n'.join(rows))
  return str(path)


def test_columns_are_known_in_any_spelling(listing):
  assert Listing(listing)[0]['columns'] == {
    'licence': 'CC0',
    'consent': 'yes',
    'source': 'site',
    'signer': 'one',
  }


def test_a_source_leaves_out_and_the_training_manifest_counts(
  listing, tmp_path
):
  config = {'name': 'listing', 'path': listing, 'require': {'consent': 'yes'}}
  source = SOURCES.build(config)
  names = [record['path'][-5:] for record in map(source.__getitem__, (0, 1))]
  assert (len(source), names) == (2, ['a.mp4', 'c.mp4'])
  manifest.record(tmp_path / 'run', {'own': config})
  [entry] = manifest.read(tmp_path / 'run')['sources']
  assert entry['left_out'] == {'consent=no': 1}
  assert entry['provenance'] == {
    'licence': {'CC0': 1, '': 1},
    'consent': {'yes': 2},
    'source': {'site': 2},
  }
  videos = list(manifest.read_videos(tmp_path / 'run', entry))
  assert [video[3:] for video in videos] == [
    ('CC0', 'yes', 'site'),
    ('', 'yes', 'site'),
  ]


def test_json_says_yes_and_no_in_its_own_way(listing, tmp_path):
  path = tmp_path / 'list.json'
  rows = [
    {'path': 'a.mp4', 'consent': True},
    {'path': 'b.mp4', 'consent': False},
  ]
  path.write_text(json.dumps(rows))
  source = Listing(str(path), 'all', require={'consent': 'true'})
  assert [record['path'][-5:] for record in source] == ['a.mp4']
  assert source.left_out == {'consent=False': 1}
  assert len(pickle.loads(pickle.dumps(source))) == 1
