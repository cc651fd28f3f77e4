"""Method 3: both bar codes, the source's and the viewer's, in one photograph of two screens.

strips     where something looks like a strip of cells, roughly
grid       a strip as a grid in perspective: how well a guess fits, and a better guess
finder     both together, until a CRC holds
images     photographs from a camera, a video or a picture file
loop       the delay from the bar codes of many photographs
source     a window that shows the test pattern
command    the command line
"""
