"""Draws figures as SVG text: scales, marks, axes, legends. Knows nothing of trials, files or pages.

Colours are CSS classes (katib/templates/draw.css), so that one drawing serves light, dark and paper. A mark that
belongs to a trial carries its name, by which a page's script highlights it in every figure.
"""
