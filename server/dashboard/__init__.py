"""The dashboard at `/`: a page, and a feed of snapshots behind it (`docs/dashboard.md`).

    Streams --snapshot.py, twice a second while somebody looks--> model.Snapshot --feed.py--> every page
    page --actions.py: start, stop, intra, rate limit--> Streams

assets.py holds the page's files (static/), routes.py puts all of it into the router.
"""
