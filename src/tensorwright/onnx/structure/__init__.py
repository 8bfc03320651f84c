"""Edits of a model's structure: weights, attributes, names, nodes, outputs; and what they share."""
