"""`python -m latentcast`."""

from latentcast.cli import main

main()
