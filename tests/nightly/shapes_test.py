"""Instant clones of the small guest in every shape: BIOS and UEFI, 1 and 4 processors, 1 to 3 disks, 0 to 2 NICs.

RAMET_SHAPES names those wanted: legacy-110,uefi-432."""
import itertools
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from shapes import Shape, ShapesWorld  # noqa: E402

WANTED = os.environ.get("RAMET_SHAPES", "")


class AllShapes(ShapesWorld):
    def test_every_shape_goes_on(self):
        shapes = [Shape(*values) for values in itertools.product(("Legacy", "UEFI"), (1, 4), (1, 2, 3), (0, 1, 2))]
        shapes = [shape for shape in shapes if not WANTED or shape.name in WANTED.split(",")]
        self.assertTrue(shapes, f"RAMET_SHAPES={WANTED} names none")
        for shape in shapes:
            with self.subTest(shape.name):
                try:
                    self.go_on(shape)
                finally:
                    self.tearDown()


if __name__ == "__main__":
    unittest.main(verbosity=2)
