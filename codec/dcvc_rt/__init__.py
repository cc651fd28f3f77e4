"""The `dcvc-rt` profile: the network of the paper, from the published checkpoints, bit for bit.

Jia et al., "Towards Practical Real-Time Neural Video Compression", CVPR 2025, arXiv 2502.20762. `docs/dcvc-rt.md`
specifies it; sections named in the docstrings here are that document's. The networks are in `image` and `video`, the
probability tables in `tables`, what a picture costs in bytes in `payload`, the published file format in `units`, and
`engine` runs the networks, on a CPU or, captured as CUDA graphs, on a GPU.
"""

PATCH_CHANNELS = 192  # 3 x 8 x 8: pictures are worked on at 1/8
HYPER_CHANNELS = 128
# Symbols of one coding step, folded (section 6.2): the image model has 4 steps, the video model 2.
STEP_CHANNELS = 64
IMAGE_STEPS = 4
VIDEO_STEPS = 2
FEATURE_CHANNELS = 256

# In place of a table number: the element is not coded (section 6.5).
SKIPPED = 255
# Of the published results; it is not in the file, so both sides must be told.
DEFAULT_SKIP_THRESHOLD = 0.12
# Of the program of the paper; its documented test command uses 64 (section 8).
DEFAULT_RESET_INTERVAL = 32
