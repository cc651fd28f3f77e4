"""From a key press to the changed pixel: a desktop that is driven from afar, timed part by part.

flipper   a window that turns black or white at every key press, and says when it got the key
probe     a viewer that presses keys over the control channel and waits for the picture to change
command   the command line, and both together under an Xvfb
"""
