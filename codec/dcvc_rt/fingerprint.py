"""The fingerprint of `dcvc-rt`: the table numbers that this machine computes for a few built-in frames.

They are what the entropy decoder depends on, so two ends with equal fingerprints will mostly read the same symbols;
the check in every frame catches the rest.
"""

import hashlib

import numpy as np

from codec.dcvc_rt import HYPER_CHANNELS, STEP_CHANNELS
from codec.dcvc_rt.engine import DecoderEngine
from codec.layout import Layout
from codec.quality_cycle import inter_row

# Large enough for every kernel's main loop and its remainder, small enough for a CPU.
_LAYOUT = Layout(200, 136)
# One state made from the picture, two from the feature, and the frames that use them.
_RESETS = (False, True, False)
_QP = 32


def fingerprint(engine: DecoderEngine, *, kind: str) -> str:
    """32 hexadecimal digits. kind: how the network is run, in words. Prepares the engine for another size."""
    engine.prepare(_LAYOUT)
    random = np.random.Generator(np.random.PCG64(1))
    digest = hashlib.sha256(kind.encode())
    state = None
    for number, reset in enumerate((False, *_RESETS)):
        frame = engine.intra(_QP) if state is None else engine.inter(state, inter_row(_QP, number), reset=reset)
        z = random.integers(-4, 5, (HYPER_CHANNELS, *_LAYOUT.hyper_shape)).astype(np.int8)
        indexes = frame.begin(z)
        for step in range(frame.steps):
            digest.update(indexes.tobytes())
            symbols = random.integers(-1, 2, (STEP_CHANNELS, *_LAYOUT.latent_shape)).astype(np.int8)
            if step < frame.steps - 1:
                indexes = frame.advance(symbols)
        state = frame.finish(symbols).state
    return digest.hexdigest()[:32]
