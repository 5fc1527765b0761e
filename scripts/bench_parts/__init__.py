"""What the benchmarks share: generated data, a textbook's loop, and this program's: the one of this checkout."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
