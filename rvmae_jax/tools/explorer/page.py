"""The page: which controls there are and what they call; computes nothing.

What belongs to one browser tab is in `gr.State`, networks and the list of
videos never change, and one event is worked on at a time: drawing with
matplotlib, and the few cores of a laptop, are for one at a time.
"""

from collections.abc import Mapping
from typing import Any

from rvmae_jax.tools.explorer import rebuild
from rvmae_jax.tools.explorer.controls import choose_video
from rvmae_jax.tools.explorer.features_tab import features_tab
from rvmae_jax.tools.explorer.masks_tab import masks_tab
from rvmae_jax.tools.explorer.networks import Network
from rvmae_jax.tools.explorer.rebuild_tab import rebuild_tab
from rvmae_jax.tools.explorer.track_tab import track_tab

CSS = """
.film video { width: 100%; image-rendering: pixelated; }
.picture img { width: 100%; background: white; }
"""
_NO_NETWORK = (
  'There is no network. Train one in minutes, `python -m rvmae_jax.train '
  '--config configs/rvm_quickstart.py --workdir runs/quickstart`, or name one '
  'with `--checkpoint`.'
)


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
    chosen = choose_video(known)
    with gr.Tab('Masks'):
      masks_tab(page, chosen, known)
    with gr.Tab('Rebuild') as tab:
      reasons = {name: rebuild.why_not(networks[name]) for name in networks}
      able = {n: net for n, net in networks.items() if not reasons[n]}
      if able:
        rebuild_tab(tab, chosen, known, able)
      elif not networks:
        gr.Markdown(_NO_NETWORK)
      gr.Markdown('\n\n'.join(filter(None, reasons.values())))
    for label, fill in (('Features', features_tab), ('Track', track_tab)):
      with gr.Tab(label):
        if networks:
          fill(chosen, known, networks)
        else:
          gr.Markdown(_NO_NETWORK)
  page.queue(default_concurrency_limit=1)
  return page
