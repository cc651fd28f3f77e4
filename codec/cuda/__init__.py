"""The CUDA engine: the networks of both profiles as captured graphs on an NVIDIA GPU. `docs/gpu.md` explains it.

`runtime` is what an engine sees (a `codec.torch_runtime.Runtime`), made of `capture` (graphs) and `staging` (bytes
between host and device). Both order their work through `driver`, the only module that calls CUDA, so that tests can
put a device in its place that runs things as late and as badly as the order allows. `folding` is the algebra that
saves layers; `availability` says in one sentence why a GPU cannot be used.
"""
