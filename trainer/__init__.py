"""The trainer runs in a trial's container and trains one model once. It knows nothing of Katib, Kubernetes or katib/.

The root holds what a command line can ask for: config.py and requests.py (its settings), limits.py and flags.py (what
they may be), describe.py, pace.py and fingerprint.py (the small verbs). The rooms:

    training/   the epoch loop, its loss, its checkpoints and the run directory
    inference/  evaluates a trained model and separates recordings with it
    models/     the networks, one file each
    kernels/    layers that train faster than PyTorch's, on the CPU and with Triton
    data/       reads, samples, packs and builds corpora
    tracking/   reports a run to Weights & Biases
"""
