"""The tab Masks: two strategies beside each other."""

from collections.abc import Mapping
from typing import Any

from rvmae_jax.masking import MASKS
from rvmae_jax.tools.explorer import controls, masks, videos
from rvmae_jax.visualize.tracks import side_by_side


def masks_tab(page, chosen: controls.Chosen, known: Mapping[str, str]) -> None:
  """Two strategies beside each other; drawn again when a control changes."""
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
    except controls.MISTAKES as error:
      # In place of pictures of other settings.
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
      flow = controls.picture(masks.draw_flow(video, masked.flow))
    return (
      masked.summary,
      controls.film(side_by_side(frames)),
      controls.picture(masks.draw_sheet(video, masked.masked)),
      controls.picture(masks.draw_tokens(masked.tokens)),
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
        boxes = [
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
        'inputs': [strategy, *shared, *boxes],
        'outputs': [summary, film, sheet, tokens, flow_box, flow],
        'trigger_mode': 'always_last',
        **controls.WORK,
      }
      strategy.input(change, strategy, boxes, queue=False).then(
        **asked | {'trigger_mode': None}
      )
      gr.on([page.load, *map(controls.changed, [*shared, *boxes])], **asked)


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
    return tuple(float(n) if '.' in n else int(n) for n in shown.split(','))
  except ValueError:
    raise ValueError(
      f'{key}={shown!r} must be numbers with commas between.'
    ) from None
