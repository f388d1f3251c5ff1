"""The tab Rebuild: what networks make of what is hidden."""

from collections.abc import Mapping

from rvmae_jax.tools.explorer import controls, rebuild


def rebuild_tab(tab, chosen: controls.Chosen, known, networks) -> None:
  """Two networks beside each other on the same hidden patches."""
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
        except controls.MISTAKES as error:  # The other network may do it.
          view = f'{error}', ''
        else:
          view = (
            f'{video}. {network.title}.\n\n{_score_table(found.scores)}',
            controls.picture(rebuild.draw_rebuilt(found)),
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
      *map(controls.changed, (gap, ratio, seed, *choices)),
    ],
    draw,
    [*inputs, *choices],
    outputs,
    trigger_mode='always_last',
    **controls.WORK,
  )
  cancel.click(None, cancels=[event])


def _score_table(scores: Mapping[str, tuple[float, float]]) -> str:
  lines = ['| on hidden patches | PSNR, dB | SSIM |', '|---|---:|---:|']
  lines += [
    f'| {method} | {psnr:.2f} | {ssim:.3f} |'
    for method, (psnr, ssim) in scores.items()
  ]
  return '\n'.join(lines)
