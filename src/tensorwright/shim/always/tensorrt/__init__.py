"""`import tensorrt`, answered by tensorwright: this folder is on PYTHONPATH under `wright shim`."""

import os

from tensorwright import compat

compat.install(os.environ.get(compat.GENERATION, compat.USUAL))
