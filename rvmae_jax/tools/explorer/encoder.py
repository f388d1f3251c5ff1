"""Controls that encode a video, for the tabs that look at features."""

from typing import Any, NamedTuple

import numpy as np

from rvmae_jax.tools.explorer import controls, features, videos

_SECONDS_KEPT = 3600


class Read(NamedTuple):
  """A video that was read for a tab, and its features."""

  video: np.ndarray
  encoded: features.Encoded
  network: str


def given_read(read: Read | None) -> Read:
  """What was read; ValueError if nothing was, or it was too long ago."""
  if read is None:
    raise ValueError('Encode a video first.')
  return read


def encoder(chosen: controls.Chosen, known, networks) -> tuple[Any, Any]:
  """Controls that encode a video: gr.State with a `Read`, and the event."""
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
    with controls.told():
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
      yield Read(frames, encoded, name), text

  event = button.click(
    encode, [*chosen, name, side], [read, note], **controls.WORK
  )
  cancel.click(None, cancels=[event])
  return read, event
