"""What tabs share: the video that is chosen, events, films and pictures."""

import base64
import contextlib
import io
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from rvmae_jax.data.decoding import VideoError
from rvmae_jax.memory import give_back
from rvmae_jax.tools.explorer.videos import check_video
from rvmae_jax.visualize.film import Film

_FPS = 8
_DPI = 110
# One event at a time; see `page`.
WORK = {'concurrency_id': 'work', 'concurrency_limit': 1}
# What an input that makes no sense raises; the message says why.
MISTAKES = (ValueError, VideoError, OSError, ImportError)


class Chosen(NamedTuple):
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


def choose_video(known: Mapping[str, str]) -> Chosen:
  """Controls that choose a video, among those of `known` and uploads.

  Args:
    known: name -> path.
  """
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
      taken = check_video(path)
    except MISTAKES as error:  # What was chosen before stays.
      gr.Warning(f'{error}')
      return gr.skip(), gr.skip()
    uploads = {**uploads, taken: path}
    # An upload takes the place of the video that had its name.
    names = [*{**known, **uploads}]
    return gr.update(choices=names, value=taken), uploads

  upload.upload(take, [upload, uploads], [name, uploads], **WORK)
  return Chosen(name, uploads, num_frames, stride)


@contextlib.contextmanager
def told() -> Iterator[None]:
  """Tells what is wrong with an input on the page."""
  import gradio as gr

  try:
    yield
  except MISTAKES as error:
    raise gr.Error(f'{error}', print_exception=False) from error


def changed(component: Any) -> Any:
  """The event of a component that the user has set to another value."""
  import gradio as gr

  if isinstance(component, gr.State):
    return component.change
  # Of text only what is complete.
  is_text = isinstance(component, gr.Textbox)
  return component.submit if is_text else component.input


def film(frames: np.ndarray) -> str:
  """A film in the page itself: no file is left behind."""
  give_back()  # Frames are many and short-lived: return their memory.
  data = base64.b64encode(Film(frames, _FPS).encode()).decode()
  return (
    '<video autoplay loop muted playsinline controls '
    f'src="data:video/mp4;base64,{data}"></video>'
  )


def picture(figure: Any) -> str:
  """A matplotlib figure in the page itself."""
  give_back()
  file = io.BytesIO()
  figure.savefig(file, format='png', dpi=_DPI)
  return image(file.getvalue())


def image(png: bytes) -> str:
  """A PNG file in the page itself."""
  data = base64.b64encode(png).decode()
  return f'<img alt="" src="data:image/png;base64,{data}">'
