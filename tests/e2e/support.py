"""The world of the end-to-end tests: one server on a data directory of its own, one image; everything is removed at the end."""
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from ramet_client import WRITER, Agent, Api, ApiError, Server  # noqa: E402,F401

TINY = pathlib.Path(os.environ.get("RAMET_TINY_IMAGE", ROOT / "build/guest/tiny.qcow2"))
RAMET = os.environ.get("RAMET", str(ROOT / "build/release/bin/ramet"))


def remove_tree(path):
    if os.geteuid() == 0:  # sealed layers are immutable
        subprocess.run(["chattr", "-R", "-f", "-i", str(path)], check=False, stderr=subprocess.DEVNULL)
    shutil.rmtree(path, ignore_errors=True)


class World(unittest.TestCase):
    """One server for the class; `source` runs with a data volume."""

    arguments = ()
    binary = None  # another program than rametd, which becomes it

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="ramet-e2e-")
        cls.server = Server(pathlib.Path(cls.directory) / "data", binary=cls.binary, arguments=cls.arguments)
        cls.addClassCleanup(cls.remove)  # where a setUpClass() fails there is no tearDownClass()
        cls.server.start()
        cls.api = cls.server.api()
        cls.image = cls.api.add_image(TINY)

    @classmethod
    def tearDownClass(cls):
        violated = cls.violated()
        cls.remove()
        assert not violated, f"invariants are violated at the end: {violated}"

    @classmethod
    def remove(cls):
        """Server, VMs and directory, unless they are gone."""
        if not os.path.exists(cls.directory):
            return
        done = cls.server.teardown()
        remove_tree(cls.directory)
        assert done.returncode == 0, done.stderr

    def _callTestMethod(self, method):  # unittest's own seam; a cleanup would come after tearDown(), which removes what there is to look at
        super()._callTestMethod(method)
        violated = self.violated()
        assert not violated, f"invariants are violated after the test: {violated}"

    @classmethod
    def violated(cls, patience=10):
        """The invariants that `ramet doctor` finds violated; what a last job is still doing has a moment to end."""
        if cls.server.process is None or cls.server.process.poll() is not None:
            cls.server.start()
        api, end = cls.server.api(), time.monotonic() + patience
        while True:
            violated = {invariant["number"]: invariant["findings"] for invariant in api.get("/doctor")["invariants"] if invariant["state"] == "violated"}
            if not violated or time.monotonic() > end:
                return violated
            time.sleep(0.2)

    def refused(self, code, *words, call):
        """`call` fails with `code` (its cause's may be meant too), its text has the words, and nothing has changed."""
        before = self.inventory()
        with self.assertRaises(ApiError) as caught:
            call()
        error = caught.exception
        codes = [error.code, error.error.get("cause", {}).get("code"), str(error.status)]
        self.assertIn(code, codes, error)
        for word in words:
            self.assertIn(word, str(error))
        self.assertEqual(before, self.inventory())
        return error

    def inventory(self):
        return {path: sorted(row["uuid"] for row in self.api.rows(path)) for path in ("/vm-instances", "/volumes", "/vm-instances/nics", "/l3-networks/ip-address", "/system-tags")}

    def doctor(self):
        """The orphan scan over files, rows, addresses and processes."""
        return self.api.get("/doctor")["findings"]

    def assert_nothing_left_over(self, patience=10):
        end = time.monotonic() + patience
        while (findings := self.doctor()) and time.monotonic() < end:
            time.sleep(0.2)
        self.assertEqual([], findings)

    def deaf_vm(self, name):
        """A running VM without a system on its disk: it does not hear the power button, so that a graceful stop takes its full minute."""
        if not hasattr(type(self), "blank"):
            path = self.directory + "/blank.qcow2"
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "16M"], check=True)
            type(self).blank = self.api.add_image(path, name="blank")
        return self.api.create_vm(name, self.blank["uuid"])

    def expunge_all(self):
        for checkpoint in self.api.rows("/checkpoints"):
            self.api.delete("/checkpoints/" + checkpoint["uuid"])
        for vm in self.api.rows("/vm-instances"):
            self.expunge(vm["uuid"])

    def expunge(self, vm):
        self.api.delete("/vm-instances/" + vm)
        if self.api.vm(vm):
            self.api.action(vm, "expungeVmInstance")


class WithWriter:
    """For a World with an `agent`: tests/guest/writer.c in its /run, and the disks that it writes to."""

    @classmethod
    def carry_writer(cls):
        cls.agent.put_program("/run/writer", WRITER.read_bytes())

    @classmethod
    def in_background(cls, script):
        """Returns once it has begun; one that ends or stops the agent has to wait a second, or the agent cannot say so."""
        cls.agent.start(f"exec setsid sh -c '{script}'")

    def device_of(self, volume):
        find = f"for b in /sys/block/vd*; do [ \"$(cat $b/serial)\" = {volume['uuid'][:20]} ] && echo /dev/${{b##*/}}; done; true"
        end = time.monotonic() + 20
        while not (device := self.agent.run(find)) and time.monotonic() < end:
            time.sleep(0.1)
        return device

    def number_on(self, path):
        out = os.path.join(self.directory, "number")
        subprocess.run(["qemu-img", "dd", "-f", "qcow2", "-O", "raw", "bs=512", "count=1", "if=" + path, "of=" + out], check=True, stdout=subprocess.DEVNULL)
        return struct.unpack("<q", pathlib.Path(out).read_bytes()[:8])[0]
