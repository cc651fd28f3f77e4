"""Load: viewers that receive, measure and acknowledge without decoding, and what a server costs under them.

viewer.py      one such viewer over real WebRTC
probe.py       a server's processor time and memory, from its /metrics
command.py     latentcast bench load
dashboard.py   latentcast bench dashboard: the same load with and without somebody at the dashboard
browser.py     a headless Chromium, where there is one
"""
