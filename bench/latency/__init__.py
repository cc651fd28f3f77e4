"""`latentcast latency`: the delay from capture to visible pixels, measured by methods that know nothing of each other.

display       the user's X display, or an Xvfb of our own
session       a real server and a real viewer with a window, and the grabber beside them
frames        method 1: the timestamps of every presented frame (frames.csv of the viewer)
grab, sightings, x_window    method 2: the bar code in the window's pixels on the screen
pairing       both methods frame by frame
camera/       method 3: both bar codes in one photograph
remote/       from a key press to the changed pixel
sweeps        the same over bitrates and loss
schema, document, trace, page    what is written: latency.json, frames.csv, trace.json, latency.html
"""
