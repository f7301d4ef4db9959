"""Machines of many shapes go on from an instant: BIOS and UEFI, 1 and 4 processors, 1 to 3 disks, 0 to 2 NICs.

All combinations of these: tests/nightly/shapes_test.py."""
import time
import unittest

from instants import MIB, translated_code
from shapes import Shape, ShapesWorld


class Shapes(ShapesWorld):
    def test_one_processor_three_disks_and_no_nic(self):
        self.go_on(Shape("Legacy", 1, 3, 0))

    def test_one_processor_two_disks_and_one_nic(self):
        self.go_on(Shape("Legacy", 1, 2, 1))

    def test_four_processors_one_disk_and_two_nics(self):
        self.gives_back_at_rest(*self.go_on(Shape("Legacy", 4, 1, 2)))

    def test_uefi_four_processors_three_disks_and_two_nics(self):
        self.go_on(Shape("UEFI", 4, 3, 2))

    def gives_back_at_rest(self, vm, guest, patience=90):
        """What QEMU translated of the guest's code, once the guest rests; then the guest goes on as before."""
        self.assertGreater(translated_code(self.server.data_dir, vm), 8 * MIB)
        end = time.monotonic() + patience
        while translated_code(self.server.data_dir, vm) > 8 * MIB and time.monotonic() < end:
            time.sleep(1)
        self.assertLess(translated_code(self.server.data_dir, vm), 8 * MIB)
        for _ in range(3):
            self.assertEqual(vm["name"], guest.run("md5sum /bin/busybox >/dev/null & hostname; wait", 60))


if __name__ == "__main__":
    unittest.main(verbosity=2)
