"""The product on bad networks: declared conditions, scenarios in simulated time, and a relay for the real programs."""
