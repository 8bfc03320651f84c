"""Makes the helper modules of this folder importable by its tests under every import mode of pytest."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
