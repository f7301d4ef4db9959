"""Instant clones of a Debian guest with 4 processors, 2 disks and 2 NICs, BIOS and UEFI: systemd, udev and networkd at work on each of them."""
import os
import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from instants import MIB  # noqa: E402
from shapes import Shape, ShapesWorld  # noqa: E402

DEBIAN = pathlib.Path(os.environ.get("RAMET_DEBIAN_IMAGE", ROOT / "build/guest/debian.qcow2"))


class DebianShapes(ShapesWorld):
    patience = 1800  # a guest takes 40 s of a core to its agent, and a machine may have more to do
    memory = {"Legacy": 1024 * MIB, "UEFI": 1024 * MIB}

    @classmethod
    def setUpClass(cls):
        if not DEBIAN.exists():
            raise unittest.SkipTest(f"{DEBIAN} is not there; build it with ./dev guest debian")
        super().setUpClass()
        cls.image = cls.api.add_image(DEBIAN, "debian")

    def make_source(self, shape):
        super().make_source(shape)
        self.agent.run("cloud-init status --wait >/dev/null || :", self.patience)

    def test_four_processors_two_disks_and_two_nics(self):
        self.go_on(Shape("Legacy", 4, 2, 2))

    def test_uefi_four_processors_two_disks_and_two_nics(self):
        self.go_on(Shape("UEFI", 4, 2, 2))


if __name__ == "__main__":
    unittest.main(verbosity=2)
