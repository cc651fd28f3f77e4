"""`latentcast bench whip`: a browser's camera over WHIP to a viewer, how late and how soon.

    headless Chromium ── WHIP ──▶ latentcast serve ── nano ──▶ a viewer in this process

    camera     the browser's fake camera through the page /publish: what a user gets, by timestamps
    bar code   the same page with a canvas that draws our bar code in place of the camera: by timestamps, and by the
               time in the pixels that come out at the viewer, which no timestamp on the way has touched

`publishing` drives the browser, `watching` is the viewer, `command` puts them together.
"""
