"""`latentcast bench rd`: rate and distortion of our profiles beside conventional and external codecs.

What is measured, with formulas: docs/rate-distortion.md. `bench.rd.command.run` is the command.
"""
