"""Prepares a cluster for searches: builds and pushes the images, and installs Katib with our services."""
