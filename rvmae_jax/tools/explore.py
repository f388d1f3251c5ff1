"""Serves a page to explore masks, rebuilt frames, features and tracks.

  python -m rvmae_jax.tools.explore [--checkpoint RUN_OR_FILE ...] \\
    [--videos DIR] [--port 7860]

Open the address that it prints in a browser. Without `--checkpoint` it takes
the quick start's run (runs/quickstart), if there is one; moving sprites are
always there to look at. A CPU is enough. Only this machine can reach the page
unless `--host` says otherwise. It needs no network and sends nothing anywhere.
Needs Gradio: pip install "rvmae_jax[app]".
"""

import importlib.util

from absl import flags

from rvmae_jax.commands import explains_errors, run_command
from rvmae_jax.tools.explorer.networks import load_networks
from rvmae_jax.tools.explorer.page import CSS, build_page
from rvmae_jax.tools.explorer.videos import known_videos
from rvmae_jax.training.logging import show_own_lines

# The browser loads nothing from elsewhere, whatever Gradio's page asks for.
_POLICY = (
  "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
  "connect-src 'self' data: blob:"
)
# Browser tabs whose states are kept.
_NUM_SESSIONS = 32


def launch(page, host: str = '127.0.0.1', port: int = 0, **options) -> str:
  """Serves a page of `build_page`; its address.

  Args:
    page: to serve.
    host: address to listen to.
    port: 0 takes the first that is free from 7860.
    **options: of `gr.Blocks.launch`.
  """
  import gradio as gr
  from starlette.middleware import Middleware

  theme = gr.themes.Default(
    font=['system-ui', 'sans-serif'], font_mono=['ui-monospace', 'monospace']
  )
  _, address, _ = page.launch(
    server_name=host,
    server_port=port or None,
    share=False,
    ssr_mode=False,
    show_error=True,
    theme=theme,
    css=CSS,
    footer_links=[],
    state_session_capacity=_NUM_SESSIONS,
    app_kwargs={'middleware': [Middleware(_OnlyFromHere)]},
    **options,
  )
  return address


class _OnlyFromHere:
  """ASGI middleware that adds `_POLICY` to every answer."""

  def __init__(self, app):
    self._app = app

  async def __call__(self, scope, receive, send):
    async def send_with_policy(message):
      if message['type'] == 'http.response.start':
        header = b'content-security-policy', _POLICY.encode()
        message = {**message, 'headers': [*message['headers'], header]}
      await send(message)

    await self._app(scope, receive, send_with_policy)


@explains_errors('explore')
def main(args: flags.FlagValues) -> int:
  """Runs the command; returns the exit code."""
  show_own_lines()
  if importlib.util.find_spec('gradio') is None:
    raise ImportError(
      'The explorer needs Gradio: pip install "rvmae_jax[app]".'
    )
  known = known_videos(args.videos)
  page = build_page(load_networks(args.checkpoint), known)
  launch(page, args.host, args.port)
  return 0


if __name__ == '__main__':
  flags.DEFINE_multi_string(
    'checkpoint',
    [],
    'A run, a checkpoint or a weights file.',
  )
  flags.DEFINE_string('videos', '', 'A folder of videos to choose from.')
  flags.DEFINE_string('host', '127.0.0.1', 'Address to serve at.')
  flags.DEFINE_integer(
    'port', 0, 'Port to serve at; 0: the first free one from 7860.'
  )
  run_command(main)
