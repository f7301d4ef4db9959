"""Fifty captures under load with a freeze, and fifty without: no order of writes is ever turned round."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from quiesce_test import OrderOfWrites, QuiesceWorld  # noqa: E402


class Unfrozen(OrderOfWrites, QuiesceWorld):
    captures = 50
    modes = ("never",)


class Frozen(OrderOfWrites, QuiesceWorld):
    captures = 50
    modes = ("auto",)


if __name__ == "__main__":
    unittest.main(verbosity=2)
