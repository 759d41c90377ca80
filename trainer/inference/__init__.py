"""Uses a trained model: separator.py loads it, evaluate.py scores it, separate.py separates, export.py exports.

from trainer.inference import load

network = load("models/demo-2hd5tlp4")     # or a best.pt, or a run directory
voices = network(mixtures)                 # [batch, samples] at 8 kHz -> [batch, 2, samples]
"""

from trainer.inference.separator import load

__all__ = ["load"]
