"""The page: which controls there are and what they call; computes nothing.

What belongs to one browser tab is in `gr.State`, networks and the list of
videos never change, and one event is worked on at a time: drawing with
matplotlib, and the few cores of a laptop, are for one at a time.
"""

import ast
import base64
import contextlib
import io
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from rvmae_jax.data.decoding import VideoError
from rvmae_jax.masking import MASKS
from rvmae_jax.tools.explorer import features, masks, rebuild, track, videos
from rvmae_jax.tools.explorer.networks import Network
from rvmae_jax.visualize.film import Film
from rvmae_jax.visualize.scenes import enlarged
from rvmae_jax.visualize.tracks import LABEL_COLOURS, side_by_side

CSS = """
.film video { width: 100%; image-rendering: pixelated; }
.picture img { width: 100%; background: white; }
"""
_FPS = 8
_DPI = 110
_NO_NETWORK = (
  'There is no network. Train one in minutes, `python -m rvmae_jax.train '
  '--config configs/rvm_quickstart.py --workdir runs/quickstart`, or name one '
  'with `--checkpoint`.'
)
_NO_STATE = (
  'carries no state from frame to frame, so there are no gates to show.'
)
_SECONDS_KEPT = 3600


class _Chosen(NamedTuple):
  """What is chosen above the tabs; components of the page.

  Attributes:
    name: of the video.
    uploads: gr.State, name -> path of what this browser tab has uploaded.
    num_frames: to look at, at most.
    stride: every so many frames.
  """

  name: Any
  uploads: Any
  num_frames: Any
  stride: Any


class _Read(NamedTuple):
  """A video that was read for a tab, and its features."""

  video: np.ndarray
  encoded: features.Encoded
  network: str


def _given(read: _Read | None) -> _Read:
  """What was read; ValueError if nothing was, or it was too long ago."""
  if read is None:
    raise ValueError('Encode a video first.')
  return read


def build_page(
  networks: Mapping[str, Network], known: Mapping[str, str]
) -> Any:
  """The page as `gr.Blocks`.

  Args:
    networks: by name.
    known: name -> path of the videos that can be chosen.
  """
  import gradio as gr

  # Uploads and pictures that are older than a day are deleted.
  with gr.Blocks(
    title='rvmae_jax explorer',
    analytics_enabled=False,
    delete_cache=(3600, 86400),
  ) as page:
    gr.Markdown('# Explorer of recurrent video masked autoencoders')
    chosen = _choose_video(known)
    with gr.Tab('Masks'):
      _masks_tab(page, chosen, known)
    with gr.Tab('Rebuild') as tab:
      reasons = {name: rebuild.why_not(networks[name]) for name in networks}
      able = {n: net for n, net in networks.items() if not reasons[n]}
      if able:
        _rebuild_tab(tab, chosen, known, able)
      elif not networks:
        gr.Markdown(_NO_NETWORK)
      gr.Markdown('\n\n'.join(filter(None, reasons.values())))
    with gr.Tab('Features'):
      if networks:
        _features_tab(chosen, known, networks)
      else:
        gr.Markdown(_NO_NETWORK)
    with gr.Tab('Track'):
      if networks:
        _track_tab(chosen, known, networks)
      else:
        gr.Markdown(_NO_NETWORK)
  page.queue(default_concurrency_limit=1)
  return page


def _choose_video(known: Mapping[str, str]) -> _Chosen:
  import gradio as gr

  with gr.Row():
    name = gr.Dropdown([*known], label='Video', scale=3)
    num_frames = gr.Slider(2, 64, 16, step=1, label='Frames', scale=2)
    stride = gr.Slider(1, 16, 1, step=1, label='Stride, frames', scale=2)
    with gr.Column(min_width=150):
      upload = gr.UploadButton('Upload a video', size='sm')
  uploads = gr.State({})

  def take(path, uploads):
    try:
      uploads = {**uploads, videos.check_video(path): path}
    except _MISTAKES as error:  # What was chosen before stays.
      gr.Warning(f'{error}')
      return gr.skip(), gr.skip()
    names = [*known, *uploads]
    return gr.update(choices=names, value=names[-1]), uploads

  upload.upload(take, [upload, uploads], [name, uploads], **_WORK)
  return _Chosen(name, uploads, num_frames, stride)


def _masks_tab(page, chosen: _Chosen, known: Mapping[str, str]) -> None:
  import gradio as gr

  with gr.Row():
    side = gr.Dropdown(
      [32, 64, 96, 128, 192, 224, 256], value=64, label='Shorter edge, pixels'
    )
    patch_size = gr.Dropdown([4, 8, 16, 32], value=8, label='Patch, pixels')
    tubelet_size = gr.Dropdown([1, 2, 4], value=2, label='Frames in a token')
    seed = gr.Slider(0, 99, 0, step=1, label='Seed')
  shared = [*chosen, side, patch_size, tubelet_size, seed]

  def draw(strategy, *given):
    try:
      return drawn(strategy, *given)
    except _MISTAKES as error:  # In place of pictures of other settings.
      return f'{error}', '', '', '', gr.update(visible=False), ''

  def drawn(strategy, *given):
    (name, uploads, num_frames, stride, side, patch_size, z, seed) = given[:8]
    wanted = masks.settings_of(strategy)
    settings = {
      key: _value(key, value)
      for key, value in zip(all_settings, given[8:])
      if key in wanted
    }
    path = {**known, **uploads}[name]
    video = videos.read_video(path, side, patch_size, num_frames, stride)
    if len(video) < z:
      raise ValueError(
        f'{name} gives {len(video)} frames, too few for a token of {z}.'
      )
    video = video[: len(video) // z * z]
    masked = masks.mask_video(video, strategy, settings, patch_size, z, seed)
    frames = {'video': video, f'masked: {strategy}': masked.masked}
    flow = ''
    if masked.flow is not None:
      flow = _picture(masks.draw_flow(video, masked.flow))
    return (
      masked.summary,
      _film(side_by_side(frames)),
      _picture(masks.draw_sheet(video, masked.masked)),
      _picture(masks.draw_tokens(masked.tokens)),
      gr.update(visible=bool(flow)),
      flow,
    )

  all_settings = {}
  for strategy in MASKS.names():
    all_settings |= masks.settings_of(strategy)
  with gr.Row():
    for label, first in (('A', 'tube'), ('B', 'motion_guided')):
      with gr.Column(min_width=320):
        strategy = gr.Dropdown(
          MASKS.names(), value=first, label=f'Strategy {label}'
        )
        begun = masks.settings_of(first)
        controls = [
          _setting(key, begun.get(key, value), visible=key in begun)
          for key, value in all_settings.items()
        ]
        summary = gr.Markdown()
        film = gr.HTML(elem_classes='film')
        sheet = gr.HTML(elem_classes='picture')
        with gr.Accordion('What the encoder gets', open=False):
          tokens = gr.HTML(elem_classes='picture')
        with gr.Accordion('Flow that it follows', visible=False) as flow_box:
          flow = gr.HTML(elem_classes='picture')

      def change(strategy):
        wanted = masks.settings_of(strategy)
        return [
          gr.update(visible=key in wanted, value=_shown(wanted.get(key, value)))
          for key, value in all_settings.items()
        ]

      asked = {
        'fn': draw,
        'inputs': [strategy, *shared, *controls],
        'outputs': [summary, film, sheet, tokens, flow_box, flow],
        'trigger_mode': 'always_last',
        **_WORK,
      }
      strategy.input(change, strategy, controls, queue=False).then(
        **asked | {'trigger_mode': None}
      )
      gr.on([page.load, *map(_changed, [*shared, *controls])], **asked)


def _rebuild_tab(tab, chosen: _Chosen, known, networks) -> None:
  import gradio as gr

  able = [*networks]
  ratios = {n: rebuild.trained_ratio(net) for n, net in networks.items()}
  of_targets = [n for n in able if rebuild.rebuilds_targets(networks[n])]
  with gr.Row():
    gap = gr.Slider(
      1,
      48,
      4,
      step=1,
      label='Gap, frames',
      info=f'For {", ".join(of_targets)}, which rebuild later frames.',
      visible=bool(of_targets),
    )
    ratio = gr.Slider(
      0,
      0.9875,
      ratios[able[0]],
      step=0.0125,
      label='Ratio hidden',
      info='In training: '
      + ', '.join(f'{name} {share:.4g}' for name, share in ratios.items()),
    )
    seed = gr.Slider(0, 99, 0, step=1, label='Seed')
    with gr.Column(min_width=150):
      button = gr.Button('Rebuild', variant='primary', size='sm')
      cancel = gr.Button('Cancel', size='sm')
  shown = []
  with gr.Row():
    for label, value in (
      ('Network', able[0]),
      ('Beside it', able[1] if len(able) > 1 else None),
    ):
      with gr.Column(min_width=320):
        choice = gr.Dropdown([*able, ''], value=value or '', label=label)
        shown.append((choice, gr.Markdown(), gr.HTML(elem_classes='picture')))

  bar = gr.Progress()

  def draw(video, uploads, gap, ratio, seed, *names, progress=bar):
    outputs = [gr.skip()] * (2 * len(names))
    path = {**known, **uploads}[video]
    for number, name in enumerate(names):
      progress((number, len(names)), desc=f'Rebuilding with {name}')
      view = '', ''
      if name:
        network = networks[name]
        try:
          found = rebuild.rebuild(network, path, gap, ratio, seed)
        except _MISTAKES as error:  # The other network may do it.
          view = f'{error}', ''
        else:
          view = (
            f'{video}. {network.title}.\n\n{_score_table(found.scores)}',
            _picture(rebuild.draw_rebuilt(found)),
          )
      outputs[2 * number : 2 * number + 2] = view
      yield outputs

  # Its clip is the network's own, so frames and stride above do not count.
  inputs = [chosen.name, chosen.uploads, gap, ratio, seed]
  choices, *views = zip(*shown)
  outputs = [view for pair in zip(*views) for view in pair]
  event = gr.on(
    [
      tab.select,
      button.click,
      *map(_changed, (gap, ratio, seed, *choices)),
    ],
    draw,
    [*inputs, *choices],
    outputs,
    trigger_mode='always_last',
    **_WORK,
  )
  cancel.click(None, cancels=[event])


def _score_table(scores: Mapping[str, tuple[float, float]]) -> str:
  lines = ['| on hidden patches | PSNR, dB | SSIM |', '|---|---:|---:|']
  lines += [
    f'| {method} | {psnr:.2f} | {ssim:.3f} |'
    for method, (psnr, ssim) in scores.items()
  ]
  return '\n'.join(lines)


def _features_tab(chosen: _Chosen, known, networks) -> None:
  import gradio as gr

  read, event = _encoder(chosen, known, networks)
  with gr.Row():
    num_clusters = gr.Slider(2, 12, 5, step=1, label='Clusters of k-means')
    less_places = gr.Checkbox(
      True,
      label='Subtract the mean of each place',
      info='Otherwise colours show little but where a patch is.',
    )
    time = gr.Slider(0, 63, 0, step=1, label='Frame to click on')
  film = gr.HTML(elem_classes='film')
  curves = gr.HTML(elem_classes='picture')
  with gr.Row():
    frame = gr.Image(
      label='Click a patch', interactive=False, format='png', buttons=[]
    )
    alike = gr.HTML(elem_classes='film', min_height=200)

  def draw(read, num_clusters, less_places):
    if read is None:
      return '', ''
    with _told():
      found, network = read.encoded, networks[read.network]
      p, values = network.patch_size, found.features
      if less_places:
        values = features.without_places(values)
      panels = {
        'video': read.video,
        'principal components': features.colour_pca(values, p),
        'k-means': features.colour_clusters(values, num_clusters, p),
      }
      drawn = f'<p>{read.network} {_NO_STATE}</p>'
      if found.courses:
        drawn = _image(features.draw_courses(found.courses))
      return _film(side_by_side(panels)), drawn

  def show_frame(read, time):
    if read is None:
      return None
    time = min(time, len(read.video) - 1)
    return enlarged(read.video[time : time + 1])[0]

  def click(read, time, less_places, place: gr.SelectData):
    with _told():
      values = _given(read).encoded.features
      if less_places:
        values = features.without_places(values)
      time = min(time, len(values) - 1)
      height, width = enlarged(read.video[:1]).shape[1:3]
      row = int(place.index[1] * values.shape[1] / height)
      column = int(place.index[0] * values.shape[2] / width)
      cosines = features.likeness(values, time, row, column)
      p = networks[read.network].patch_size
      panels = {
        'video': read.video,
        f'like row {row}, column {column} of frame {time}': (
          features.colour_likeness(cosines, p)
        ),
      }
      return _film(side_by_side(panels))

  drawn = {'fn': draw, 'inputs': [read, num_clusters, less_places]}
  drawn |= {'outputs': [film, curves], **_WORK}
  event.success(**drawn).success(show_frame, [read, time], frame, **_WORK)
  gr.on(
    [_changed(num_clusters), _changed(less_places)],
    trigger_mode='always_last',
    **drawn,
  )
  _changed(time)(show_frame, [read, time], frame, **_WORK)
  frame.select(click, [read, time, less_places], alike, **_WORK)


def _track_tab(chosen: _Chosen, known, networks) -> None:
  import gradio as gr

  read, event = _encoder(chosen, known, networks)
  points = gr.State([])
  colours = ['#' + bytes(colour).hex() for colour in LABEL_COLOURS]
  with gr.Row():
    with gr.Column(min_width=320):
      frame = gr.Image(
        label='Click points', interactive=False, format='png', buttons=[]
      )
      clear = gr.Button('Clear the points')
      film = gr.HTML(elem_classes='film')
    with gr.Column(min_width=320):
      editor = gr.ImageEditor(
        label='Or paint objects, each in a colour of its own',
        sources=(),
        transforms=(),
        layers=False,
        brush=gr.Brush(colors=colours[: track.NUM_COLOURS], color_mode='fixed'),
        format='png',
        buttons=[],
      )
      warm_up = gr.Slider(
        0,
        8,
        4,
        step=1,
        label='Warm-up: times to show the first frame first',
        info='Lets the state of a recurrent network settle.',
      )
      with gr.Row():
        follow = gr.Button('Follow what is painted', variant='primary')
        cancel = gr.Button('Cancel')
      mask_film = gr.HTML(elem_classes='film')

  def begin(read):
    with _told():
      picture = enlarged(_given(read).video[:1])[0]
      return picture, picture, [], '', ''

  def click(read, points, place: gr.SelectData):
    with _told():
      height, width = enlarged(_given(read).video[:1]).shape[1:3]
      x, y = place.index
      points = [*points, (x / width, y / height)]
      frames = track.follow_points(read.video, read.encoded.features, points)
      return points, frames[0], _film(frames)

  bar = gr.Progress()

  def paint(read, painted, warm_up, progress=bar):
    with _told():
      video = _given(read).video
      mask = track.painted_mask(painted['layers'], video.shape[1:3])
      frames = []
      for frame in track.follow_mask(
        networks[read.network], video, mask, warm_up
      ):
        frames.append(frame)
        progress((len(frames), len(video)), desc='Following', unit='frames')
        yield gr.skip()
      yield _film(side_by_side({'objects': np.stack(frames)}))

  outputs = [frame, editor, points, film, mask_film]
  event.success(begin, read, outputs, **_WORK)
  frame.select(click, [read, points], [points, frame, film], **_WORK)
  clear.click(begin, read, outputs, **_WORK)
  following = follow.click(paint, [read, editor, warm_up], mask_film, **_WORK)
  cancel.click(None, cancels=[following])


def _encoder(chosen: _Chosen, known, networks) -> tuple[Any, Any]:
  """Controls that encode a video: gr.State with a `_Read`, and the event."""
  import gradio as gr

  names = [*networks]
  with gr.Row():
    name = gr.Dropdown(names, value=names[0], label='Network')
    side = gr.Dropdown(
      ['as learned', 64, 96, 128, 192, 224, 256],
      value='as learned',
      label='Shorter edge, pixels',
    )
    with gr.Column(min_width=150):
      button = gr.Button('Encode', variant='primary', size='sm')
      cancel = gr.Button('Cancel', size='sm')
  note = gr.Markdown()
  read = gr.State(None, time_to_live=_SECONDS_KEPT)

  bar = gr.Progress()

  def encode(video, uploads, num_frames, stride, name, side, progress=bar):
    with _told():
      network = networks[name]
      side = network.side if side == 'as learned' else side
      path = {**known, **uploads}[video]
      frames = videos.read_video(
        path, side, network.patch_size, num_frames, stride
      )
      parts, count = [], 0
      for part in features.encode(network, frames):
        parts.append(part)
        count += len(part.features)
        progress((count, len(frames)), desc='Encoding', unit='frames')
        yield gr.skip(), gr.skip()
      encoded = features.join(parts)
      _, h, w, width = encoded.features.shape
      text = (
        f'{video}: {len(frames)} frames of {h} x {w} tokens, {width} numbers '
        f'each. {network.title}.'
      )
      yield _Read(frames, encoded, name), text

  event = button.click(encode, [*chosen, name, side], [read, note], **_WORK)
  cancel.click(None, cancels=[event])
  return read, event


# One event at a time; see the module's docstring.
_WORK = {'concurrency_id': 'work', 'concurrency_limit': 1}
# What an input that makes no sense raises; the message says why.
_MISTAKES = (ValueError, VideoError, OSError, ImportError)


@contextlib.contextmanager
def _told() -> Iterator[None]:
  """Tells what is wrong with an input on the page."""
  import gradio as gr

  try:
    yield
  except _MISTAKES as error:
    raise gr.Error(f'{error}', print_exception=False) from error


def _changed(component: Any) -> Any:
  """The event of a component that the user has set to another value."""
  import gradio as gr

  if isinstance(component, gr.State):
    return component.change
  # Of text only what is complete.
  is_text = isinstance(component, gr.Textbox)
  return component.submit if is_text else component.input


def _setting(key: str, value: Any, visible: bool) -> Any:
  """The control of a mask's setting."""
  import gradio as gr

  if key in masks.CHOICES:
    return gr.Dropdown(masks.CHOICES[key], value, label=key, visible=visible)
  if isinstance(value, float):
    return gr.Slider(0, 0.99, value, step=0.01, label=key, visible=visible)
  return gr.Textbox(_shown(value), label=key, visible=visible)


def _shown(value: Any) -> Any:
  return ', '.join(map(str, value)) if isinstance(value, tuple) else value


def _value(key: str, shown: Any) -> Any:
  """A setting of what its control holds."""
  if not isinstance(shown, str) or key in masks.CHOICES:
    return shown
  try:
    value = ast.literal_eval(f'({shown},)')
  except (ValueError, SyntaxError):
    value = ('',)
  if not all(isinstance(number, int | float) for number in value):
    raise ValueError(f'{key}={shown!r} must be numbers with commas between.')
  return value


def _film(frames: np.ndarray) -> str:
  """A film in the page itself: no file is left behind."""
  data = base64.b64encode(Film(frames, _FPS).encode()).decode()
  return (
    '<video autoplay loop muted playsinline controls '
    f'src="data:video/mp4;base64,{data}"></video>'
  )


def _picture(figure: Any) -> str:
  file = io.BytesIO()
  figure.savefig(file, format='png', dpi=_DPI)
  return _image(file.getvalue())


def _image(png: bytes) -> str:
  data = base64.b64encode(png).decode()
  return f'<img alt="" src="data:image/png;base64,{data}">'
