"""`import cuda` (cuda-python) on a machine without a GPU: tensorwright's device that is not there."""

__version__ = "12.4.0"
