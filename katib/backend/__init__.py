"""Where a search runs: on this machine or on a cluster."""
