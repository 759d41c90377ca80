"""The services that Katib runs beside the trials: suggestion, early stopping and metrics collector.

They replace Katib's own by their image alone: names, ports and protocols are those of Katib v0.19, so a manifest means
the same with both. What is proposed and what is stopped is decided by katib/search, as on one machine.
"""
