"""What a compiled program needs of a device's memory."""

import jax


def planned_bytes(program: jax.stages.Compiled) -> int:
  """What XLA plans for one device: arguments, results and temporaries.

  What a donated argument shares with a result counts once.
  """
  memory = program.memory_analysis()
  return (
    memory.argument_size_in_bytes
    + memory.output_size_in_bytes
    - memory.alias_size_in_bytes
    + memory.temp_size_in_bytes
  )
