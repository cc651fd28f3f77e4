"""Both profiles of the codec. Before anything in here imports torch, MKL is told how to compute."""

from codec.mkl import compute_alike

compute_alike()
