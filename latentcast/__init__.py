"""Latentcast: live video over a neural codec."""

__version__ = "0.1.0"
