"""Katib's metrics collector: the container beside a trial that reads what the trainer prints.

`python -m katib.services.collector` takes the arguments of Katib's own (file-metricscollector/main.go). Unlike Katib's,
it reports each metric as it comes, asks the early-stopping service after each epoch, and survives a DB manager that
does not answer.
"""
