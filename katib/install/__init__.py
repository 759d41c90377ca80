"""What a cluster needs before a search: the images, and Katib with our services."""
