"""What is read of a program for GPUs, and how cards are described."""

from rvmae_jax.tools.planning import gpus
from rvmae_jax.training import devices

PROGRAM = """\
%body (s: (s32[], f32[8])) -> (s32[], f32[8]) {
  %c.1 = (bf16[2,258,4,32], u8[0]) custom-call(%q, %k, %v), \
custom_call_target="__cudnn$fmhaSoftmax"
}

ENTRY %main (p: f32[8]) -> f32[8] {
  %loop = (s32[], f32[8]) while(%p), condition=%c, body=%body, \
backend_config={"known_trip_count":{"n":"12"}}
  %c.2 = (bf16[2,258,4,32], u8[0]) custom-call(%q, %k, %v), \
custom_call_target="__cudnn$fmhaSoftmax"
  %c.3 = (bf16[2,258,4,32], u8[0]) custom-call(%q, %k, %v), \
custom_call_target="__cudnn$fmhaSoftmaxBackward"
  %c.4 = (f32[8,8], s8[0]) custom-call(%a, %b), \
custom_call_target="__cublas$gemm"
}
"""


def test_cudnns_attention_is_counted_as_often_as_it_is_called():
  assert gpus.attention_calls(PROGRAM) == {'forward': 13, 'backward': 1}


def test_cards_are_those_that_the_bounds_know():
  for name, card in gpus.CARDS.items():
    device = devices.by_name(name)
    assert not device.is_tpu
    assert device.machine_link_bytes_per_s < device.network_bytes_per_s / 8
    assert device.machine_link_bytes_per_s > 0
    # XLA has the memory that is left to programs and the speed as it is set.
    assert 0.98 < card['memory_bandwidth'] / device.hbm_bytes_per_s < 1.01
    assert 0.98 < card['device_memory_size'] / device.hbm_bytes < 1.08


def test_descriptions_are_written_as_protobuf_does():
  fields = {'info': {'count': 3, 'rate': 1.5}, 'name': 'CUDA'}
  assert gpus.as_proto(fields) == 'info { count: 3 rate: 1.5 } name: "CUDA"'
