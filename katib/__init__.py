"""The control side of Sepsweep: specs, manifests, searches on a cluster or on this machine, and their results."""
