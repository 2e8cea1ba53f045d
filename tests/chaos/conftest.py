"""Only the verdicts are tested here; the incidents themselves are run by chaos.py."""
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]
