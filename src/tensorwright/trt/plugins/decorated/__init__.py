"""Decorated plugins: what `tensorwright.plugin` and `tensorrt.plugin` are made of."""
