"""`latentcast bench speed`: what coding costs on this machine, how near that is to the machine's limits, how it grows.

stages      one frame, stage by stage: network, entropy coding, the rest
candidates  the engines of each profile, and why one cannot run here
modules     one frame, module by module: time, multiply-adds, bytes (`nano_onnx`, `nano_simd`, `torch_modules`)
ceilings    copy bandwidth and matrix rate of this machine; `roofline` compares
growth      time against picture size; `plot` draws it
"""

from bench.speed.command import run
from bench.speed.stages import Side, Speed, measure

__all__ = ["Side", "Speed", "measure", "run"]
