"""The Experiment manifest: how it is rendered, read, run and compared."""
