"""The Experiment manifest: its schema, the typed view of it, rendering it, and comparing two of them."""
