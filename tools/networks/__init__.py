"""Well-known architectures in plain PyTorch, with random weights: what `tools/export_networks.py` exports."""
