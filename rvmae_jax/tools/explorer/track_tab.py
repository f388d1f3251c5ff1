"""The tab Track: points and painted objects are followed."""

import numpy as np

from rvmae_jax.tools.explorer import controls, track
from rvmae_jax.tools.explorer.encoder import encoder, given_read
from rvmae_jax.visualize.scenes import enlarged
from rvmae_jax.visualize.tracks import LABEL_COLOURS, side_by_side


def track_tab(chosen: controls.Chosen, known, networks) -> None:
  """Clicked points and painted objects, followed through an encoded video."""
  import gradio as gr

  read, event = encoder(chosen, known, networks)
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
    with controls.told():
      picture = enlarged(given_read(read).video[:1])[0]
      return picture, picture, [], '', ''

  def click(read, points, place: gr.SelectData):
    with controls.told():
      height, width = enlarged(given_read(read).video[:1]).shape[1:3]
      x, y = place.index
      points = [*points, (x / width, y / height)]
      frames = track.follow_points(read.video, read.encoded.features, points)
      return points, frames[0], controls.film(frames)

  bar = gr.Progress()

  def paint(read, painted, warm_up, progress=bar):
    with controls.told():
      video = given_read(read).video
      mask = track.painted_mask(painted['layers'], video.shape[1:3])
      frames = []
      for frame in track.follow_mask(
        networks[read.network], video, mask, warm_up
      ):
        frames.append(frame)
        progress((len(frames), len(video)), desc='Following', unit='frames')
        yield gr.skip()
      yield controls.film(side_by_side({'objects': np.stack(frames)}))

  outputs = [frame, editor, points, film, mask_film]
  event.success(begin, read, outputs, **controls.WORK)
  frame.select(click, [read, points], [points, frame, film], **controls.WORK)
  clear.click(begin, read, outputs, **controls.WORK)
  following = follow.click(
    paint, [read, editor, warm_up], mask_film, **controls.WORK
  )
  cancel.click(None, cancels=[following])
