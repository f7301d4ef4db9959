"""Captured memory whose files are not what was captured any more: no guest goes on from what cannot be right, and an operator is told which checkpoint it is."""
import contextlib
import json
import os
import subprocess
import unittest

from instants import KeptWorld
from support import RAMET, ApiError


class Damaged(KeptWorld):
    def file(self, name):
        (image,) = self.images()
        return image / name

    @contextlib.contextmanager
    def other_byte(self, name, offset):
        """One byte of the image's file is another; it is put back."""
        path = self.file(name)
        if os.geteuid() == 0:
            subprocess.run(["chattr", "-f", "-i", str(path)], check=False, stderr=subprocess.DEVNULL)
        os.chmod(path, 0o600)
        descriptor = os.open(path, os.O_RDWR)
        before = os.pread(descriptor, 1, offset)
        os.pwrite(descriptor, bytes([before[0] ^ 0x40]), offset)
        try:
            yield
        finally:
            os.pwrite(descriptor, before, offset)
            os.close(descriptor)
            os.chmod(path, 0o400)

    def places_in_memory(self):
        """In a page that was captured, and in a hole."""
        descriptor = os.open(self.file("ram"), os.O_RDONLY)
        data = os.lseek(descriptor, os.lseek(descriptor, 0, os.SEEK_HOLE), os.SEEK_DATA)
        hole = os.lseek(descriptor, data, os.SEEK_HOLE)
        os.close(descriptor)
        return {"data": data + 100, "hole": hole + 100}

    def error_of(self, checkpoint, *names):
        try:
            result = self.api.put(f"/checkpoints/{checkpoint['uuid']}/actions", {"cloneVmInstance": {"names": list(names), "memory": True}})["result"]
        except ApiError as error:
            return str(error)
        self.assertEqual(0, result["numberOfClonedVm"], result)
        for entry in result["inventories"]:
            self.assertIn("device state is damaged", json.dumps(entry["error"]))
        return json.dumps(result["inventories"][-1]["error"])

    def doctor_of_memory(self):
        environment = {**os.environ, "RAMET_SERVER": self.server.url, "RAMET_PASSWORD": self.server.password}
        return subprocess.run([RAMET, "doctor", "--memory"], env=environment, capture_output=True, text=True, timeout=60)

    def test_a_device_state_that_is_another_is_an_error_entry_and_leaves_nothing(self):
        checkpoint = self.keep()
        size = self.file("state").stat().st_size
        for offset in (0, size // 2, size - 1):
            for names in (["one"], ["a", "b", "c", "d"]):  # four share a machine that has loaded it
                with self.subTest(offset=offset, names=names), self.other_byte("state", offset):
                    text = self.error_of(checkpoint, *names)
                    for words in (f"clone '{names[-1]}'", "device state is damaged", "delete the checkpoint and make it anew"):
                        self.assertIn(words, text)
                    self.assertEqual([self.source["uuid"]], [vm["uuid"] for vm in self.api.rows("/vm-instances")])
                    self.assert_nothing_left_over()
        with self.other_byte("state", 0):
            found = self.doctor_of_memory()
            self.assertEqual(1, found.returncode, found.stdout)
            self.assertIn("of the checkpoint 'warm'", found.stdout)
        self.assertEqual(0, self.doctor_of_memory().returncode)
        self.assertEqual("well", self.guest(self.clones_of(checkpoint, "well")[0]).run("hostname", 60))

    def test_memory_that_is_another_is_found_by_the_doctor_and_its_clones_are_refused(self):
        checkpoint = self.keep()
        self.assertEqual(0, self.doctor_of_memory().returncode)
        for where, offset in self.places_in_memory().items():
            with self.subTest(where), self.other_byte("ram", offset):
                self.assertEqual([], self.doctor(), "nothing but the wish to know reads all memory")
                found = self.doctor_of_memory()
                self.assertEqual(1, found.returncode, found.stdout)
                self.assertIn("memory images read: 1, damaged: 1", found.stderr)
                self.assertIn("memory image damaged", found.stdout)
                self.assertIn("of the checkpoint 'warm'", found.stdout)
                wish = {"cloneVmInstance": {"names": ["no"], "memory": True}}
                self.refused("SYS.1006", "what was kept is damaged", call=lambda: self.api.put(f"/checkpoints/{checkpoint['uuid']}/actions", wish))
                self.restart()
                self.assertEqual(["memory image damaged"], [finding["kind"] for finding in self.doctor()], "it is known for good")
                wish["cloneVmInstance"].update(memory=False, names=["plain"], strategy="CreateStopped")
                plain = self.api.put(f"/checkpoints/{checkpoint['uuid']}/actions", wish)["result"]
                self.assertEqual(1, plain["numberOfClonedVm"])
                self.expunge(plain["inventories"][0]["inventory"]["uuid"])
            put_back = self.doctor_of_memory()
            self.assertEqual(0, put_back.returncode, put_back.stdout)
        self.assertEqual("well", self.guest(self.clones_of(checkpoint, "well")[0]).run("hostname", 60))


if __name__ == "__main__":
    unittest.main(verbosity=2)
