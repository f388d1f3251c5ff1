"""Peak speed and memory of accelerators, from public figures.

Sources: Google Cloud's pages on each TPU version and "How to scale your model"
(jax-ml.github.io/scaling-book) for TPUs and their links; NVIDIA's data sheets
of A100, H100 and H200, and of its DGX machines for the network between them.
Dense bf16, no sparsity.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Device:
  """One chip.

  Attributes:
    name: as topologies and people call it.
    kind: part of what JAX calls it (`jax.Device.device_kind`).
    flops_per_s: peak of matrix products in bf16.
    hbm_bytes: memory.
    hbm_bytes_per_s: its bandwidth.
    link_bytes_per_s: of one link to a neighbour, one way.
    num_links: of a chip in a torus; NVLink counts as one.
    clock_hz: of a TPU's cores; that of GPUs, which changes, is 0.
    num_cores: of a TPU chip.
    matrix_side: rows and columns of what a matrix unit keeps at once; of GPUs,
      whose tiles are small, 16.
    machine_link_bytes_per_s: that a GPU can send to other machines, 0 if not
      known.
  """

  name: str
  kind: str
  flops_per_s: float
  hbm_bytes: float
  hbm_bytes_per_s: float
  link_bytes_per_s: float
  num_links: int
  clock_hz: float = 0.0
  num_cores: int = 1
  matrix_side: int = 16
  machine_link_bytes_per_s: float = 0.0

  @property
  def network_bytes_per_s(self) -> float:
    """What a chip can send at once over all its links."""
    return self.link_bytes_per_s * self.num_links

  @property
  def is_tpu(self) -> bool:
    """Whether it is a TPU; if not, it is a GPU."""
    return self.kind.startswith('TPU')

  @property
  def exponentials_per_s(self) -> float:
    """Exponentials of a TPU's vector units, 8 x 128 a cycle; 0 for GPUs."""
    return self.num_cores * 8 * 128 * self.clock_hz


_GB = _GHZ = 1e9
_GIB = 2**30

# The first entry whose `kind` is part of JAX's name for a device is taken, so
# the more specific kinds come first.
DEVICES = (
  Device(
    *('v6e', 'TPU v6', 918e12, 32 * _GIB, 1640 * _GB, 90 * _GB, 4),
    *(1.75 * _GHZ, 1, 256),
  ),
  Device(
    *('v5e', 'TPU v5 lite', 197e12, 16 * _GIB, 819 * _GB, 45 * _GB, 4),
    *(1.5 * _GHZ, 1, 128),
  ),
  Device(
    *('v5e', 'TPU v5e', 197e12, 16 * _GIB, 819 * _GB, 45 * _GB, 4),
    *(1.5 * _GHZ, 1, 128),
  ),
  Device(
    *('v5p', 'TPU v5', 459e12, 95 * _GIB, 2765 * _GB, 90 * _GB, 6),
    *(1.75 * _GHZ, 2, 128),
  ),
  Device(
    *('v4', 'TPU v4', 275e12, 32 * _GIB, 1228 * _GB, 45 * _GB, 6),
    *(1.05 * _GHZ, 2, 128),
  ),
  Device(
    *('h200', 'H200', 989e12, 141 * _GB, 4800 * _GB, 450 * _GB, 1),
    machine_link_bytes_per_s=50 * _GB,
  ),
  Device('h100pcie', 'H100 PCIe', 756e12, 80 * _GB, 2000 * _GB, 64 * _GB, 1),
  Device(
    *('h100', 'H100', 989e12, 80 * _GB, 3350 * _GB, 450 * _GB, 1),
    machine_link_bytes_per_s=50 * _GB,
  ),
  Device(
    *('a100', 'A100', 312e12, 80 * _GB, 2039 * _GB, 300 * _GB, 1),
    machine_link_bytes_per_s=25 * _GB,
  ),
)


def of_kind(device_kind: str) -> Device | None:
  """The device that JAX calls so, None where it is not known."""
  return next((d for d in DEVICES if d.kind in device_kind), None)


def by_name(name: str) -> Device:
  """The device of a short name, such as 'v5e'.

  Raises:
    ValueError: it is not known.
  """
  for device in DEVICES:
    if device.name == name:
      return device
  known = ', '.join(dict.fromkeys(device.name for device in DEVICES))
  raise ValueError(f'Unknown device {name!r}; known are {known}.')
