"""The tab Features: their colours, clusters, gates and likeness."""

from rvmae_jax.tools.explorer import controls, features
from rvmae_jax.tools.explorer.encoder import encoder, given_read
from rvmae_jax.visualize.scenes import enlarged
from rvmae_jax.visualize.tracks import side_by_side

_NO_STATE = (
  'carries no state from frame to frame, so there are no gates to show.'
)


def features_tab(chosen: controls.Chosen, known, networks) -> None:
  """Films of features, gates over time, and what is like a clicked patch."""
  import gradio as gr

  read, event = encoder(chosen, known, networks)
  with gr.Row():
    num_clusters = gr.Slider(2, 12, 5, step=1, label='Clusters of k-means')
    time = gr.Slider(0, 63, 0, step=1, label='Frame to click on')
  # In a row with others it has no room in a narrow window.
  less_places = gr.Checkbox(
    True,
    label='Subtract the mean of each place',
    info='Otherwise colours show little but where a patch is.',
  )
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
    with controls.told():
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
        drawn = controls.image(features.draw_courses(found.courses))
      return controls.film(side_by_side(panels)), drawn

  def show_frame(read, time):
    if read is None:
      return None
    time = min(time, len(read.video) - 1)
    return enlarged(read.video[time : time + 1])[0]

  def click(read, time, less_places, place: gr.SelectData):
    with controls.told():
      values = given_read(read).encoded.features
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
      return controls.film(side_by_side(panels))

  drawn = {'fn': draw, 'inputs': [read, num_clusters, less_places]}
  drawn |= {'outputs': [film, curves], **controls.WORK}
  event.success(**drawn).success(
    show_frame, [read, time], frame, **controls.WORK
  )
  gr.on(
    [controls.changed(num_clusters), controls.changed(less_places)],
    trigger_mode='always_last',
    **drawn,
  )
  controls.changed(time)(show_frame, [read, time], frame, **controls.WORK)
  frame.select(click, [read, time, less_places], alike, **controls.WORK)
