"""A server that speaks as much of Google Cloud Storage as libraries ask for."""

import contextlib
import http.server
import json
import pathlib
import threading
import urllib.parse
from collections.abc import Iterator

_OBJECTS = '/storage/v1/b/bucket/o'


@contextlib.contextmanager
def serve(folder: pathlib.Path) -> Iterator[str]:
  """Serves the files of a folder as the objects of `gs://bucket`.

  Yields:
    The address, `http://localhost:PORT`.
  """

  class Handler(_Objects):
    root = folder

  server = http.server.ThreadingHTTPServer(('localhost', 0), Handler)
  thread = threading.Thread(target=server.serve_forever, daemon=True)
  thread.start()
  try:
    yield f'http://localhost:{server.server_port}'
  finally:
    server.shutdown()
    server.server_close()
    thread.join()


class _Objects(http.server.BaseHTTPRequestHandler):
  """Objects by their JSON interface: read, list, write and delete."""

  protocol_version = 'HTTP/1.1'
  root: pathlib.Path

  def do_GET(self):
    name, query = self._parse()
    path = self.root / name
    if not name:
      files = (p for p in self.root.rglob('*') if p.is_file())
      names = sorted(p.relative_to(self.root).as_posix() for p in files)
      start, end = query.get('startOffset', ''), query.get('endOffset', '~')
      prefix = query.get('prefix', '')
      items = [
        self._describe(n)
        for n in names
        if n.startswith(prefix) and start <= n < end
      ]
      self._answer(200, json.dumps({'items': items}).encode())
    elif not path.is_file():
      self._answer(404)
    elif query.get('alt') == 'media':
      self._send(path.read_bytes(), self._describe(name))
    else:
      self._answer(200, json.dumps(self._describe(name)).encode())

  def do_POST(self):
    name = self._parse()[1]['name']
    path = self.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(self.rfile.read(int(self.headers['Content-Length'])))
    self._answer(200, json.dumps(self._describe(name)).encode())

  def do_DELETE(self):
    path = self.root / self._parse()[0]
    if path.is_file():
      path.unlink()
      self._answer(204)
    else:
      self._answer(404)

  def log_message(self, *unused):
    """Nothing is printed."""

  def _parse(self) -> tuple[str, dict[str, str]]:
    """The name of the object and the query."""
    url = urllib.parse.urlsplit(self.path)
    name = url.path.partition(_OBJECTS)[2].removeprefix('/')
    query = dict(urllib.parse.parse_qsl(url.query))
    return urllib.parse.unquote(name), query

  def _describe(self, name: str) -> dict[str, str]:
    status = (self.root / name).stat()
    return {
      'kind': 'storage#object',
      'bucket': 'bucket',
      'name': name,
      'size': str(status.st_size),
      'generation': str(status.st_mtime_ns),
      'metageneration': '1',
    }

  def _send(self, content: bytes, about: dict[str, str]):
    """The content, or the part of it that was asked for."""
    headers = {
      'x-goog-generation': about['generation'],
      'x-goog-stored-content-length': about['size'],
    }
    wanted = self.headers.get('Range')
    if not wanted:
      self._answer(200, content, headers)
      return
    first, _, last = wanted.removeprefix('bytes=').partition('-')
    first = int(first) if first else len(content) - int(last)
    last = min(int(last or len(content)), len(content) - 1)
    headers['Content-Range'] = f'bytes {first}-{last}/{len(content)}'
    self._answer(206, content[first : last + 1], headers)

  def _answer(self, status, content=b'', headers=()):
    self.send_response(status)
    for key, value in dict(headers).items():
      self.send_header(key, value)
    self.send_header('Content-Length', str(len(content)))
    self.end_headers()
    self.wfile.write(content)
