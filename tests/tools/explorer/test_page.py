"""The page in a browser: every tab, clicks, sliders, uploads and two windows.

Needs Gradio, Playwright and Chromium, which the tests' own packages leave out.
"""

import shutil
import time

import numpy as np
import pytest

from rvmae_jax.tools.explore import launch
from rvmae_jax.tools.explorer import features
from rvmae_jax.tools.explorer.page import build_page
from rvmae_jax.tools.explorer.videos import known_videos
from rvmae_jax.visualize.film import Film

pytest.importorskip('gradio', reason='the page needs Gradio, extra [app]')
playwright = pytest.importorskip(
  'playwright.sync_api', reason='the browser is driven by Playwright'
)
CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(not CHROMIUM, reason='there is no Chromium'),
]

TIMEOUT_MS = 240_000  # A busy machine compiles slowly.
FILMS = (
  "[...document.querySelectorAll('.film video')].filter(v => v.offsetParent)"
)


@pytest.fixture(scope='module')
def address(network, tmp_path_factory):
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('RVMAE_CACHE', str(tmp_path_factory.mktemp('cache')))
    known = known_videos()
  page = build_page({'tiny': network, 'other': network}, known)
  yield launch(page, prevent_thread_lock=True, quiet=True)
  page.close()


@pytest.fixture(scope='module')
def browser():
  options = '--no-sandbox --disable-gpu --disable-background-networking'
  with playwright.sync_playwright() as driver:
    browser = driver.chromium.launch(
      executable_path=CHROMIUM, args=options.split()
    )
    yield browser
    browser.close()


@pytest.fixture
def open_window(browser, address):
  """Opens a window with the page; it may load nothing from elsewhere."""
  windows, elsewhere = [], []

  def note(request):
    if not request.url.startswith((address, 'data:', 'blob:')):
      elsewhere.append(request.url)

  def open_(width=1300, height=1000):
    window = browser.new_page(viewport={'width': width, 'height': height})
    window.set_default_timeout(TIMEOUT_MS)
    window.on('request', note)
    window.goto(address)
    window.wait_for_function(f'{FILMS}.length == 2')
    windows.append(window)
    return window

  yield open_
  for window in windows:
    window.close()
  assert elsewhere == []


def choose(window, label, option):
  window.get_by_label(label, exact=True).locator('visible=true').click()
  window.get_by_role('option', name=option, exact=True).click()


def set_number(window, label, value):
  name = f'number input for {label}'
  box = window.get_by_label(name).locator('visible=true').first
  box.fill(str(value))
  box.blur()


def open_tab(window, name):
  window.get_by_role('tab', name=name).click()


def press(window, name):
  window.get_by_role('button', name=name).locator('visible=true').click()


def wait_for_text(window, text):
  window.get_by_text(text).locator('visible=true').first.wait_for()


def test_masks_follow_their_settings(open_window):
  window = open_window()
  assert window.get_by_text('56 of 512 tokens are visible').count() == 2
  choose(window, 'Strategy A', 'space_time')
  wait_for_text(window, '96 of 512 tokens are visible (18.8 %)')
  set_number(window, 'frame_ratio', 0.5)
  wait_for_text(window, '64 of 512 tokens are visible (12.5 %)')
  choose(window, 'Frames in a token', '1')
  wait_for_text(window, '128 of 1024 tokens are visible (12.5 %)')
  choose(window, 'Strategy A', 'clusters')
  cluster = window.get_by_label('cluster', exact=True).locator('visible=true')
  cluster.fill('3, 3, 3')
  cluster.press('Enter')
  wait_for_text(window, 'does not tile the grid of (16, 8, 8)')


def test_two_networks_rebuild_beside_each_other(open_window):
  window = open_window()
  open_tab(window, 'Rebuild')
  window.wait_for_function(
    "[...document.querySelectorAll('.picture img')]"
    '.filter(i => i.offsetParent).length == 2'
  )
  assert window.get_by_text('last frame').locator('visible=true').count() == 2
  set_number(window, 'Ratio hidden', 0.9875)
  wait_for_text(window, 'leaves 0 of 16 tokens visible')


def test_what_a_network_cannot_rebuild_is_said_in_the_tab(make_method):
  gr = pytest.importorskip('gradio')
  page = build_page({'moco': make_method('moco_v3')}, {'video': 'video.mp4'})
  blocks = page.blocks.values()
  texts = [b.value or '' for b in blocks if isinstance(b, gr.Markdown)]
  assert any("its objective is 'contrastive'" in text for text in texts)
  assert not any('There is no network' in text for text in texts)


def test_features_are_shown_and_compared_with_a_clicked_patch(open_window):
  window = open_window()
  open_tab(window, 'Features')
  press(window, 'Encode')
  wait_for_text(window, 'sprite 0: 16 frames of 4 x 4 tokens')
  window.wait_for_function(f'{FILMS}.length == 1')
  film = window.evaluate(f'{FILMS}[0].src')
  set_number(window, 'Clusters of k-means', 3)
  window.wait_for_function(f'{FILMS}[0].src != {film!r}')
  picture = window.locator('.image-frame img >> visible=true')
  picture.click(position={'x': 20, 'y': 20})
  window.wait_for_function(f'{FILMS}.length == 2')


def test_points_and_painted_objects_are_followed(open_window):
  window = open_window()
  open_tab(window, 'Track')
  text = "document.body.innerText.split('Encode a video first').length"
  for count, button in enumerate(('Clear the points', 'Follow what is'), 1):
    press(window, button)
    window.wait_for_function(f'{text} > {count}')
  press(window, 'Encode')
  picture = window.locator('.image-frame img >> visible=true')
  picture.wait_for()
  picture.click(position={'x': 20, 'y': 20})
  window.wait_for_function(f'{FILMS}.length == 1')
  film = window.evaluate(f'{FILMS}[0].src')
  picture.click(position={'x': 90, 'y': 90})  # Adds to the first.
  window.wait_for_function(f'{FILMS}[0].src != {film!r}')
  canvas = window.locator('canvas >> visible=true').first
  place = canvas.bounding_box()
  x, y = place['x'] + place['width'] / 2, place['y'] + place['height'] / 2
  window.mouse.move(x, y)
  window.mouse.down()
  window.mouse.move(x + 40, y + 20, steps=8)
  window.mouse.up()
  press(window, 'Follow what is painted')
  window.wait_for_function(f'{FILMS}.length == 2')


def test_uploads_are_named_refused_and_stay_in_their_window(
  open_window, tmp_path
):
  first, second = open_window(), open_window()
  frames = np.random.default_rng(0).integers(0, 255, (4, 32, 48, 3))
  (tmp_path / 'mine.mp4').write_bytes(Film(np.uint8(frames)).encode())
  (tmp_path / 'notes.mp4').write_text('no video')
  upload = first.locator('input[type=file]').first
  upload.set_input_files(tmp_path / 'notes.mp4')
  wait_for_text(first, 'notes.mp4: ')
  upload.set_input_files(tmp_path / 'mine.mp4')
  video = first.get_by_label('Video', exact=True)
  first.wait_for_function(
    "[...document.querySelectorAll('input')].some(i => i.value == 'mine.mp4')"
  )
  for window, name in ((first, 'mine.mp4'), (second, 'sprite 0')):
    open_tab(window, 'Features')
    press(window, 'Encode')
    wait_for_text(window, f'{name}: ')
  video = second.get_by_label('Video', exact=True)
  video.click()
  assert second.get_by_role('option', name='mine.mp4').count() == 0


def test_long_work_can_be_cancelled(open_window, monkeypatch):
  encode, yielded, ended = features.encode, [], []

  def slow(network, video):
    [part] = encode(network, video[:8])
    try:
      for _ in range(1000):
        time.sleep(0.1)
        yielded.append(part)
        yield part
    finally:
      ended.append(True)

  monkeypatch.setattr(features, 'encode', slow)
  window = open_window()
  open_tab(window, 'Features')
  press(window, 'Encode')
  wait_for_text(window, 'Encoding')
  press(window, 'Cancel')
  deadline = time.monotonic() + TIMEOUT_MS / 1000
  while not ended and time.monotonic() < deadline:
    window.wait_for_timeout(100)
  assert len(yielded) < 1000
  # A button is deaf while what it began is shown as under way.
  window.wait_for_function("!document.body.innerText.includes('Encoding')")
  monkeypatch.setattr(features, 'encode', encode)
  press(window, 'Encode')
  wait_for_text(window, 'sprite 0: 16 frames')


def test_a_narrow_window_shows_all(open_window):
  window = open_window(390, 800)
  for name in ('Masks', 'Rebuild', 'Features', 'Track'):
    open_tab(window, name)
    assert window.evaluate('document.documentElement.scrollWidth') <= 390
