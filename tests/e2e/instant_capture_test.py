"""Both ways to capture a running VM's memory, each where it has to be: while the guest runs on, and while it stands. And memory images on a tmpfs."""
import os
import pathlib
import subprocess
import unittest

from instants import COUNT, InstantWorld, KeptWorld

SETTING = pathlib.Path("/proc/sys/vm/unprivileged_userfaultfd")
LIVE = SETTING.exists() and (SETTING.read_text().strip() == "1" or os.geteuid() == 0 and os.access(SETTING, os.W_OK))
NOT_LIVE = "QEMU may not use userfaultfd here: vm.unprivileged_userfaultfd is not 1, and only root may set it"
ALLOW = "--allow-userfaultfd"  # as root the server sets what is not set


def set_back_later(cls):
    """The setting is the machine's and outlives the server."""
    if os.geteuid() == 0 and LIVE:
        cls.addClassCleanup(SETTING.write_text, SETTING.read_text())


class Way(InstantWorld):
    def plan(self, vm):
        return self.api.clone(vm["uuid"], ["a"], memory=True, dryRun=True)["plan"]["memory"]

    def captured(self, vm=None):
        """The detail of a capture, whose clone has gone on where the source was."""
        vm = vm or self.source
        count, token = int(self.guest(vm).run(COUNT)), self.guest(vm).run("cat /run/token")
        (clone,), detail = self.clone("way", vm=vm)
        self.assertEqual(token, self.guest(clone).run("cat /run/token", 60))
        self.counts_on(self.guest(clone), count)
        self.counts_on(self.guest(vm), count)
        self.assertEqual("Running", self.api.vm(vm["uuid"])["state"])
        return detail["capture"]


@unittest.skipUnless(LIVE, NOT_LIVE)
class Live(Way):
    arguments = (ALLOW,)

    @classmethod
    def setUpClass(cls):
        set_back_later(cls)
        super().setUpClass()

    def test_the_source_runs_on_where_userfaultfd_is_to_be_had(self):
        plan = self.plan(self.source)
        self.assertEqual("live", plan["capture"], plan)
        capture = self.captured()
        self.assertIs(True, capture["live"], capture)
        self.assertIn("the guest ran on while its memory was saved", capture["liveReason"])
        self.assertGreater(capture["pausedMicroseconds"], 0)
        self.assertLess(capture["pausedMicroseconds"], capture["memoryMicroseconds"])


@unittest.skipUnless(os.geteuid() == 0, "to take userfaultfd from QEMU alone needs root")
class Saved(Way):
    binary = pathlib.Path(__file__).resolve().parent / "without_userfaultfd.py"

    def test_the_source_stands_where_userfaultfd_is_not_to_be_had_and_that_is_told(self):
        plan = self.plan(self.source)
        self.assertEqual("saved", plan["capture"], plan)
        self.assertIn("QEMU may not use userfaultfd; set vm.unprivileged_userfaultfd=1", plan["reason"])
        capture = self.captured()
        self.assertIs(False, capture["live"], capture)
        self.assertIn("the guest stood while its memory was saved", capture["liveReason"])
        self.assertGreater(capture["pausedMicroseconds"], 0.2 * capture["memoryMicroseconds"], "the memory was saved in the pause")
        self.assertLess(capture["pausedMicroseconds"], capture["memoryMicroseconds"])


@unittest.skipUnless(os.geteuid() == 0, "a file system of its own needs root")
class Tmpfs(KeptWorld, Way):
    @classmethod
    def setUpClass(cls):
        set_back_later(cls)
        place = pathlib.Path("/tmp") / f"ramet-e2e-tmpfs-{os.getpid()}"
        place.mkdir()
        cls.addClassCleanup(place.rmdir)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "ramet-e2e", place], check=True)
        cls.addClassCleanup(subprocess.run, ["umount", place], check=True)
        cls.memory_dir = place / "images"
        cls.arguments = ("--memory-dir", str(cls.memory_dir), ALLOW)
        super().setUpClass()

    def test_a_clone_of_a_clone_is_captured_while_its_source_runs_on(self):
        first = self.clone("first")[0][0]
        self.assertEqual(1, len(self.images()))
        plan = self.plan(first)
        self.assertEqual("tmpfs", plan["place"])
        capture = self.captured(first)
        self.assertEqual("live" if LIVE else "saved", plan["capture"], plan)
        self.assertIs(LIVE, capture["live"], capture)
        self.assertEqual(2, len(self.images()))

    def test_a_checkpoint_of_an_instant_clone_is_kept_there(self):
        token = self.agent.run("cat /run/token")
        first = self.clone("first")[0][0]
        kept = self.api.post(f"/vm-instances/{first['uuid']}/checkpoints", {"params": {"name": "warm", "memory": True}})["inventory"]
        self.expunge(first["uuid"])
        self.assertEqual(1, len(self.images()), "the checkpoint's; the clone's went with it")
        self.restart()
        for vm in self.clones_of(kept, "one", "two"):
            self.assertEqual([token, vm["name"]], self.guest(vm).run("cat /run/token; hostname", 60).split())

    def test_images_stay_where_they_are_when_the_server_gets_another_directory(self):
        token, kept = self.agent.run("cat /run/token"), self.keep()
        there, own = self.images(), pathlib.Path(self.server.data_dir) / "memory"
        self.server.arguments = []
        try:
            self.restart()
            self.assertEqual([], self.doctor())
            vm = self.clones_of(kept, "later")[0]
            self.assertEqual([token, "later"], self.guest(vm).run("cat /run/token; hostname", 60).split())
            self.clone("new")
            self.assertEqual((there, 1), (self.images(), len(list(own.iterdir()))))
            self.assertEqual([], self.doctor())
            stray, foreign = there[0].parent / ("5" * 32), there[0].parent / "of-another-program"
            for directory in (stray, foreign):
                directory.mkdir()
            self.assertEqual([{"kind": "memory image without row", "what": stray.name}], self.doctor())
            for directory in (stray, foreign):
                directory.rmdir()
            self.expunge(vm["uuid"])
            self.api.delete("/checkpoints/" + kept["uuid"])
            self.assertEqual([], self.images())
        finally:
            self.server.arguments = list(self.arguments)
            self.restart()


if __name__ == "__main__":
    unittest.main(verbosity=2)
