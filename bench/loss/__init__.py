"""`latentcast bench loss`: what packet loss does to the picture, `nano` beside x264 on the same simulated link.

film         the pictures: a clip played forth and back
lane         one codec's two ends, as the simulation sees them: `nano_lane`, `x264_lane`
simulation   captures, our own sender and receiver, a simulated link with random loss, in simulated time
quality      what a viewer saw of it: PSNR-Y, pictures in time, freezes
series       which codecs and repairs are compared, and at which loss rates; runs them all
tables, plot, document   the figures for readers and programs

docs/loss.md says how it is measured. `bench.loss.command.run` is the command.
"""
