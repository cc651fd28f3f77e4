"""From a key press to the changed pixel: a desktop that is driven from afar, timed part by part.

flipper   a window that turns black or white at every key press, and says when it got the key
desktop   the process of that window, for whoever starts it
probe     a viewer that presses keys over the control channel and waits for the picture to change
window    the whole way: from the keyboard of a viewer with a window to its pixels on the screen
command   the command line, and both together under an Xvfb
"""
