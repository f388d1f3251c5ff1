"""A plan as lines for people."""

from typing import Any

from rvmae_jax.tools.planning.ahead_of_time import CompiledStep
from rvmae_jax.tools.planning.attempts import Attempt, Plan
from rvmae_jax.tools.planning.bounds import SECONDS_A_DAY, run_days
from rvmae_jax.tools.planning.collectives import Collective

_GIB = 2**30
# A smaller share without a schedule is not worth a word.
_MUCH = 0.01


def format_attempt(attempt: Attempt, hbm_bytes: float) -> str:
  """One line on what was tried."""
  verdict = 'fits' if attempt.fits else 'does not fit'
  used = f'{attempt.peak_bytes / _GIB:.2f} of {hbm_bytes / _GIB:.0f} GiB'
  if not attempt.peak_bytes:
    used = f'more than {hbm_bytes / _GIB:.0f} GiB'
  rows = f'{attempt.rows} clips at once, ' if attempt.rows else ''
  seconds = f', {attempt.step.compile_s:.0f} s' if attempt.step else ''
  reason = f' ({attempt.reason})' if attempt.reason else ''
  settings = format_changes(attempt.changes) or 'as given'
  return f'{settings}: {rows}{used}, {verdict}{reason}{seconds}'


def format_changes(changes: dict[str, Any]) -> str:
  """As they go on the command line of `train`."""
  return ' '.join(f'--config.{key}={value}' for key, value in changes.items())


def format_summary(plan: Plan, num_steps: int, mfu: float) -> str:
  """What to do, and what it takes."""
  chosen = plan.chosen
  title = (
    f'{plan.slice_name}: {plan.num_chips} chips, {plan.batch_size} clips a step'
  )
  if chosen is None:
    # Of some attempts the compiler does not say what they take.
    known = [a for a in plan.attempts if a.peak_bytes] or plan.attempts
    least = min(known, key=lambda attempt: attempt.peak_bytes)
    return (
      f'{title}: nothing fits. The smallest was '
      f'{format_attempt(least, plan.hbm_bytes)}. Take a larger slice, chips '
      'with more memory, a smaller variant or shorter clips.'
    )
  bounds, step = chosen.bounds, chosen.step
  rows = [
    ('set', format_changes(chosen.changes) or 'nothing: it fits as it is'),
    (
      'memory',
      f'{chosen.peak_bytes / _GIB:.2f} of {plan.hbm_bytes / _GIB:.0f} GiB: '
      f'{step.state_bytes / _GIB:.2f} state and batch, '
      f'{step.temporary_bytes / _GIB:.2f} temporaries of {chosen.rows} clips; '
      f'about {plan.most_rows} would fit at once',
    ),
    ('model FLOPs', f'{plan.flops / 1e12:.1f} T a step'),
    *(
      (
        collective.kind,
        f'{collective.count} x among {_group(collective)}, '
        f'{collective.num_bytes / _GIB:.3f} GiB a step',
      )
      for collective in step.collectives
    ),
    (
      'step takes',
      f'at least {1e3 * bounds.step_s:.1f} ms, bound by {bounds.limit}: '
      f'compute {1e3 * bounds.compute_s:.1f} ({1e3 * bounds.widths_s:.1f} at '
      f'these widths), exponentials {1e3 * bounds.exponentials_s:.1f}, memory '
      f'{1e3 * bounds.memory_s:.1f}, network {1e3 * bounds.network_s:.1f} ms',
    ),
    *_scheduled(chosen),
    *_on_gpus(step),
    (
      'the run',
      f'{run_days(bounds, num_steps, mfu):.1f} days for {num_steps:,} steps at '
      f'{mfu:.0%} MFU{_scheduled_days(chosen, num_steps)}',
    ),
  ]
  return '\n'.join([title, *(f'  {name:18} {text}' for name, text in rows)])


def format_variants(variants: dict[str, Attempt], hbm_bytes: float) -> str:
  """One row for each attempt, by what is set; the first is the basis.

  For TPUs it has seconds by schedule; for GPUs, those that operations take at
  least to move their bytes.
  """
  width = max(map(len, variants))
  steps = [attempt.step for attempt in variants.values() if attempt.step]
  on_tpu = any(step.time.parts for step in steps)
  head, cells_of = (
    ('  scheduled ms   ratio    MFU  of bound  estimated ms', _scheduled_cells)
    if on_tpu
    else ('  GB moved  at least ms   ratio', _moved_cells)
  )
  lines = [f'{"":{width}}  clips     GiB{head}']
  basis = None
  for name, attempt in variants.items():
    gib = attempt.peak_bytes / _GIB
    cells = f'{name:{width}}  {attempt.rows:5}  {gib:6.2f}'
    if not attempt.fits:
      cells += f'  does not fit {hbm_bytes / _GIB:.0f} GiB'
    elif seconds := attempt.step_s if on_tpu else attempt.step.time.memory_s:
      basis = basis or seconds
      cells += cells_of(attempt, seconds, basis / seconds)
    lines.append(cells)
  return '\n'.join(lines)


def format_longest(plan: Plan, num_operations: int) -> str:
  """The operations of the plan that take longest, a line each.

  Args:
    plan: in which something fits.
    num_operations: how many of them.
  """
  time = plan.chosen.step.time
  total_s = time.scheduled_s or time.memory_s
  head = (
    f'{"ms":>7} {"share":>6} {"runs":>5}  bound by  part and phase, name in '
    'the program, origin'
  )
  lines = [head]
  for operation in time.longest[:num_operations]:
    seconds = operation.scheduled_s
    lines.append(
      f'{1e3 * seconds:7.3f} {seconds / total_s:6.1%} {operation.times:5}  '
      f'{operation.limit:8}  {" ".join(operation.place).strip()}, '
      f'{operation.name}, {operation.scope or "unknown"}'
    )
  return '\n'.join(lines)


def _group(collective: Collective) -> str:
  """Devices, and machines where there are several."""
  if collective.num_machines == 1:
    return str(collective.group_size)
  return f'{collective.group_size} on {collective.num_machines} machines'


def _scheduled_cells(attempt: Attempt, seconds: float, ratio: float) -> str:
  return (
    f'  {1e3 * seconds:12.1f}  {ratio:6.2f}'
    f'  {attempt.bounds.compute_s / seconds:5.1%}'
    f'  {attempt.bounds.step_s / seconds:8.1%}'
    f'  {1e3 * attempt.step.time.estimated_s:12.1f}'
  )


def _moved_cells(attempt: Attempt, seconds: float, ratio: float) -> str:
  moved = attempt.step.time.moved_bytes / 1e9
  return f'  {moved:8.1f}  {1e3 * seconds:11.1f}  {ratio:6.2f}'


def _on_gpus(step: CompiledStep) -> list[tuple[str, str]]:
  """What a compiler for GPUs tells instead of seconds."""
  if step.time.parts or not step.time.moved_bytes:
    return []
  calls = ', '.join(f'{n} x {way}' for way, n in step.attention_calls.items())
  return [
    (
      'operations move',
      f'{step.time.moved_bytes / 1e9:.2f} GB: at least '
      f'{1e3 * step.time.memory_s:.1f} ms, one after the other',
    ),
    ('cuDNN attention', calls or 'none'),
  ]


def _scheduled(attempt: Attempt) -> list[tuple[str, str]]:
  """Rows on the schedule's seconds, those of parts below their sum."""
  time, bounds = attempt.step.time, attempt.bounds
  total = time.scheduled_s
  if not total:
    return []
  text = (
    f'{1e3 * total:.1f} ms ({bounds.compute_s / total:.0%} MFU, '
    f'{bounds.step_s / total:.0%} of the bound), without exchanges and '
    f"waiting; the compiler's estimate: {1e3 * time.estimated_s:.1f} ms"
  )
  if time.unscheduled > _MUCH:
    text += f', used for {time.unscheduled:.0%} of it, which has no schedule'
  rows = [('by schedule', text)]
  parts = dict.fromkeys(part.part for part in time.parts)
  for name in parts:
    phases = [
      f'{part.phase} {1e3 * part.scheduled_s:.1f}'.strip()
      for part in sorted(time.parts, key=lambda part: part.phase != 'forward')
      if part.part == name
    ]
    estimate = sum(p.estimated_s for p in time.parts if p.part == name)
    rows.append((f'  {name}', f'{", ".join(phases)} ({1e3 * estimate:.1f})'))
  return rows


def _scheduled_days(attempt: Attempt, num_steps: int) -> str:
  if not attempt.step_s:
    return ''
  days = num_steps * attempt.step_s / SECONDS_A_DAY
  return f', {days:.1f} by schedule'
