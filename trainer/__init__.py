"""What runs in the trial container: trains one model once. Knows nothing of Katib, Kubernetes or katib/."""
