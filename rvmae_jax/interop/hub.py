"""Weights on the Hugging Face Hub: `hf://ORGANISATION/NAME[@REVISION]`.

What is fetched lies in the hub's own cache, and is taken from there without a
network (HF_HUB_OFFLINE=1). Needs the extra [hub].
"""

import pathlib
import re
from typing import Any

SCHEME = 'hf://'
_ADDRESS = re.compile(r'hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?')
# Safe files first; a pickle is fetched only where there is nothing else.
_SETTINGS = ('*.json',)
_WEIGHTS = (('*.safetensors', '*.npz'), ('*.bin', '*.pth'))


def is_address(path: Any) -> bool:
  """Whether a path means the hub."""
  return isinstance(path, str) and path.startswith(SCHEME)


def fetch(address: str) -> pathlib.Path:
  """The folder that holds the weights of a repository and their settings.

  Args:
    address: of the repository.

  Raises:
    ValueError: no address of a repository.
    FileNotFoundError: there is no such repository or revision, it holds no
      weights, or it cannot be reached and was not fetched before.
    ImportError: names the extra to install.
  """
  repository, revision = _parse(address)
  hub = _hub()
  for suffixes in _WEIGHTS:
    try:
      folder = hub.snapshot_download(
        repository, revision=revision, allow_patterns=[*_SETTINGS, *suffixes]
      )
    except (hub.errors.HFValidationError, hub.errors.HfHubHTTPError) as error:
      raise FileNotFoundError(f'{address}: {error}') from error
    except (OSError, ValueError) as error:
      raise FileNotFoundError(
        f'{address} could not be fetched, and is not in the cache of the hub: '
        f'{type(error).__name__}: {error}'
      ) from error
    folder = pathlib.Path(folder)
    if any(path for suffix in suffixes for path in folder.glob(suffix)):
      return folder
  raise FileNotFoundError(
    f'{address} holds no weights: no .safetensors, .npz, .bin or .pth lies at '
    'its top.'
  )


def upload(folder: pathlib.Path, address: str, private: bool = False) -> str:
  """Puts a folder's files into a repository, which is made if need be.

  Returns:
    Where people find it.

  Raises:
    ValueError: no address of a repository, or one of a revision.
    OSError: the hub refuses it, or cannot be reached.
    ImportError: names the extra to install.
  """
  repository, revision = _parse(address)
  if revision:
    raise ValueError(f'{address}: an upload goes to no revision; leave it out.')
  hub = _hub()
  try:
    hub.create_repo(repository, private=private, exist_ok=True)
    hub.upload_folder(repo_id=repository, folder_path=folder)
  except OSError as error:
    raise OSError(
      f'{address} could not be written: {type(error).__name__}: {error} Log in '
      'with `hf auth login`, or set HF_TOKEN to a token that may write there.'
    ) from error
  return f'https://huggingface.co/{repository}'


def _parse(address: str) -> tuple[str, str | None]:
  """The repository and the revision, None where none is said."""
  if not (found := _ADDRESS.fullmatch(address)):
    raise ValueError(
      f'{address!r} is no address on the hub; write '
      'hf://ORGANISATION/NAME or hf://ORGANISATION/NAME@REVISION.'
    )
  return found[1], found[2]


def _hub() -> Any:
  try:
    import huggingface_hub
    import huggingface_hub.errors
  except ImportError as error:
    raise ImportError(
      "hf:// needs huggingface_hub: pip install 'rvmae_jax[hub]'."
    ) from error
  return huggingface_hub
