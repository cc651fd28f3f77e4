"""The `nano` profile: DCVC-RT's dataflow narrow enough for a CPU, with an entropy layout made for packets.

`docs/nano.md` specifies it. The networks are in `networks` (torch, reference) and `graphs/*.onnx` (exported, what the
CPU engine runs); the integer scale path is in `scales`; `nano.safetensors` holds weights and tables.
"""

LATENT_CHANNELS = 64
HYPER_CHANNELS = 32
STATE_CHANNELS = 64
