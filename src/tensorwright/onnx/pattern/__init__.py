"""The pattern language: a few nodes of a graph, written down, found and replaced."""
