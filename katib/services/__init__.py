"""What Katib runs beside the trials, by image override alone: suggestion, early stopping, metrics collector.

The names, ports and protocols are those of Katib v0.19's own services, so a manifest means the same on both; what is
proposed and what is stopped is decided by katib/search, as on one machine.
"""
