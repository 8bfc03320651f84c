"""Looking at models: what a model consists of, what it costs, one node, one tensor, two models compared."""
