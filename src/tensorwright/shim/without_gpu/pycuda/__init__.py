"""`import pycuda` on a machine without a GPU: tensorwright's device that is not there."""

VERSION = (2024, 1, 2)
VERSION_STATUS = ""
VERSION_TEXT = "2024.1.2"
