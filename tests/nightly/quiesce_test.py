"""Fifty captures under load: no order of writes is ever turned round."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from quiesce_test import Order as QuickOrder  # noqa: E402


class Order(QuickOrder):
    captures = 50


del QuickOrder

if __name__ == "__main__":
    unittest.main(verbosity=2)
