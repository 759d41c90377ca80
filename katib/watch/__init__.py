"""The live page: every search of a folder or a namespace, served to the browsers of this machine, read-only."""
