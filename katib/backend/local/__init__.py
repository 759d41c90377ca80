"""Runs an Experiment manifest on this machine: trials as subprocesses, the study in SQLite."""
