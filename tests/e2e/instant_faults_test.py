"""What can go wrong in an instant clone: the process of the source or of a clone dies, a disk is full, a guest does not answer or does not let
go. A clear error, the source runs on (unless it was the one that died), nothing is left."""
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import threading
import time
import unittest

from instants import InstantWorld
from support import Agent, ApiError


class Faults(InstantWorld):
    def pid_of(self, vm):
        try:
            return int((pathlib.Path(self.server.data_dir) / "run" / vm / "pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None

    def when(self, condition, act, patience=60):
        """Acts in a thread as soon as `condition` gives something."""
        def work():
            end = time.monotonic() + patience
            while time.monotonic() < end:
                if found := condition():
                    act(found)
                    return
                time.sleep(0.002)
        thread = threading.Thread(target=work)
        thread.start()
        return thread

    def process_of_a_clone(self):
        """The pid of any running VM but the source; by its run directory, which is there before the rows say so."""
        run = pathlib.Path(self.server.data_dir) / "run"
        known = {self.source["uuid"], *getattr(self, "others", ())}
        for entry in run.iterdir() if run.exists() else ():
            if entry.name not in known and (pid := self.pid_of(entry.name)):
                return pid
        return None

    def kill(self, pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def only_error(self, vm=None, **more):
        """The text of the one clone's error entry, or of the job's."""
        try:
            result, _ = self.job(["no"], vm=vm, **more)
        except ApiError as error:
            return str(error)
        self.assertEqual(0, result["numberOfClonedVm"], result)
        return json.dumps(result["inventories"][0]["error"])

    def assert_as_before(self):
        self.counts_on(self.agent, 1)
        self.assertEqual("Running", self.api.vm(self.source["uuid"])["state"])
        self.assertEqual([], self.api.rows("/vm-instances", "name=no"))
        self.assert_nothing_left_over()

    def test_a_clone_whose_process_dies_at_its_start(self):
        thread = self.when(self.process_of_a_clone, self.kill)
        text = self.only_error()
        thread.join()
        self.assertIn("clone 'no'", text)
        self.assert_as_before()

    def test_a_clone_whose_process_dies_in_the_gate(self):
        self.agent.run("mkdir -p /etc/ramet/resume.d; printf '#!/bin/sh\\nsleep 8\\n' >/etc/ramet/resume.d/slow; chmod 755 /etc/ramet/resume.d/slow")
        try:
            thread = self.when(self.process_of_a_clone, lambda pid: (time.sleep(3), self.kill(pid)))
            text = self.only_error()
            thread.join()
            self.assertIn("clone 'no'", text)
        finally:
            self.agent.run("rm -r /etc/ramet/resume.d")
        self.assert_as_before()

    def test_a_source_that_dies_in_capture_is_an_error_and_no_image_is_left(self):
        victim = self.api.create_vm("victim", self.image["uuid"])
        self.others = {victim["uuid"]}
        Agent(self.server.data_dir, victim["uuid"]).call("guest-ping", 90)
        thread = self.when(self.image_begun, lambda _: self.kill(self.pid_of(victim["uuid"])))
        text = self.only_error(vm=victim)
        thread.join()
        self.assertIn("has ended while its memory was captured; start the VM, and try again", text)
        end = time.monotonic() + 10
        while self.api.vm(victim["uuid"])["state"] != "Stopped" and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual("Stopped", self.api.vm(victim["uuid"])["state"])
        self.assertEqual([], list((pathlib.Path(self.server.data_dir) / "memory").iterdir()))
        self.api.action(victim["uuid"], "startVmInstance")
        Agent(self.server.data_dir, victim["uuid"]).call("guest-ping", 90)
        self.expunge(victim["uuid"])
        self.assert_as_before()

    def test_a_guest_that_never_answers_its_agent(self):
        """The agent was there, and hangs when the guest is captured: known only of a source on pause, which cannot be asked."""
        self.agent.start("sleep 0.3; kill -STOP $(pidof qemu-ga); sleep 20; kill -CONT $(pidof qemu-ga)")
        time.sleep(1)
        self.api.action(self.source["uuid"], "pauseVmInstance")
        try:
            begun = time.monotonic()
            text = self.only_error(waitForSeconds=3)
            self.assertLess(time.monotonic() - begun, 15)
            self.assertIn("does not answer in the clone", text)
            self.assertEqual("Paused", self.api.vm(self.source["uuid"])["state"])
        finally:
            self.api.action(self.source["uuid"], "resumeVmInstance")
        self.agent.call("guest-ping", 60)
        self.assert_as_before()

    def test_a_guest_whose_root_file_system_takes_nothing_is_told_so(self):
        self.agent.run("dd if=/dev/zero of=/root/fill bs=1M 2>/dev/null; dd if=/dev/zero of=/root/fill.rest bs=512 2>/dev/null; true", 120)
        try:
            text = self.only_error()
            for words in ("fileSystem", "is full", "free some space in the source"):
                self.assertIn(words, text)
        finally:
            self.agent.run("rm -f /root/fill /root/fill.rest; sync", 60)
        self.agent.run("sync; mount -o remount,ro / || echo u >/proc/sysrq-trigger; sleep 1")
        try:
            text = self.only_error()
            for words in ("fileSystem", "is read-only", "mount it writable"):
                self.assertIn(words, text)
        finally:
            self.agent.run("mount -o remount,rw /", 60)
        self.assert_as_before()

    def test_a_guest_that_ignores_the_unplugging_of_its_nic(self):
        deaf = self.deaf_vm("deaf")
        text = self.only_error(vm=deaf)
        self.assertIn("does not let go of its NIC", text)
        self.assertEqual("Running", self.api.vm(deaf["uuid"])["state"])
        self.expunge(deaf["uuid"])
        self.assert_as_before()

    @unittest.skipUnless(os.geteuid() == 0, "a file system of its own needs root")
    def test_no_room_for_the_overlay_of_a_clone(self):
        """The plan asks for more room than an overlay takes: the storage fills up while the memory is captured."""
        place = pathlib.Path(self.directory) / "small"
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2g", "ramet-e2e", place], check=True)
        try:
            zone = self.api.rows("/zones")[0]["uuid"]
            storage = self.api.post("/primary-storage/local-storage", {"params": {"name": "small", "url": str(place / "pool"), "zoneUuid": zone}})["inventory"]
            victim = self.api.clone(self.source["uuid"], ["on-small"], primaryStorageUuidForRootVolume=storage["uuid"])["inventories"][0]["inventory"]
            agent = Agent(self.server.data_dir, victim["uuid"])
            agent.call("guest-ping", 90)
            agent.run("sync; mount -o remount,ro / || echo u >/proc/sysrq-trigger")  # QEMU stops a VM that writes where there is no room
            thread = self.when(self.image_begun, lambda _: self.resize(place, None))
            text = self.only_error(vm=victim)
            thread.join()
            self.resize(place, 2 << 30)
            self.assertIn("full", text)
            self.assertEqual("Running", self.api.vm(victim["uuid"])["state"])
            agent.run("mount -o remount,rw / && echo still here >/root/mark && sync", 90)
            self.assertEqual(1, self.job(["yes"], vm=victim)[0]["numberOfClonedVm"])
            for vm in self.api.rows("/vm-instances", "name=yes") + [victim]:
                self.expunge(vm["uuid"])
            self.assert_as_before()
            self.api.delete("/primary-storage/" + storage["uuid"])
        finally:
            subprocess.run(["umount", "-l", place], check=True)

    def killed_at(self, point, call):
        """A server that dies at the point while `call` waits for its answer; the next one has ended what was begun."""
        self.restart(RAMET_CRASH_POINT=point)
        with contextlib.suppress(OSError, ApiError, json.JSONDecodeError):
            call()
        self.await_death(point)

    def await_death(self, point):
        self.assertEqual(-signal.SIGKILL, self.server.process.wait(60), f"{point} was never passed")
        self.restart()
        end = time.monotonic() + 60
        while any(finding["kind"] == "unfinished job" for finding in self.doctor()) and time.monotonic() < end:
            time.sleep(0.2)

    def clones(self):
        return [vm for vm in self.api.rows("/vm-instances") if vm["uuid"] != self.source["uuid"]]

    def expunge_clones(self):
        for vm in self.clones():
            self.expunge(vm["uuid"])

    def test_a_server_that_is_killed_leaves_the_source_running_and_nothing_else(self):
        for point in ("qemu.memory.stopped", "qemu.memory.cut", "qemu.memory.streaming", "qemu.memory.captured", "memory-captured-before-row", "qemu.memory.loaded",
                      "gate-passed", "gate-passed#2"):
            with self.subTest(point):
                self.killed_at(point, lambda: self.job(["a", "b"], patience=60))
                self.expunge_clones()
                self.assert_as_before()
                self.assertEqual([], self.images())

    def test_a_server_that_is_killed_while_an_image_is_removed_ends_that_later(self):
        for point in ("memory-doomed", "memory-removed"):
            with self.subTest(point):
                self.clone("last")
                self.killed_at(point, self.expunge_clones)
                self.assertEqual([], self.images())
                self.expunge_clones()
                self.assert_as_before()

    def test_a_server_that_is_killed_within_the_gate(self):
        """The clones run and have no identity yet: none is anybody's with its links up, or as a whole."""
        self.agent.run("mkdir -p /etc/ramet/resume.d; printf '#!/bin/sh\nsleep 4\n' >/etc/ramet/resume.d/slow; chmod 755 /etc/ramet/resume.d/slow")
        try:
            job = self.begin(["a", "b"])
            end = time.monotonic() + 60
            while not any(step["name"] == "gate" for step in self.api.get("/jobs/" + job)["steps"]):
                self.assertLess(time.monotonic(), end, "the gate is never reached")
                time.sleep(0.02)
            time.sleep(1)  # well within the four seconds of the slow program
            self.server.stop(how=signal.SIGKILL)
            self.await_death("gate")
            for vm in self.clones():
                self.assertEqual([vm["name"], vm["uuid"]], self.guest(vm).run("hostname; cat /etc/machine-id", 60).split())
                self.assertEqual(["enable"], [nic["state"] for nic in vm["vmNics"]])
            self.expunge_clones()
        finally:
            self.agent.run("rm -r /etc/ramet/resume.d")
        self.assert_as_before()

    def test_a_source_on_pause_is_so_again_after_a_kill_while_its_qemu_takes_the_disks_back(self):
        """For that it has to run for an instant (docs/decisions/0013), and the server dies in it."""
        self.api.action(self.source["uuid"], "pauseVmInstance")
        try:
            self.killed_at("qemu.memory.given-back", lambda: self.job(["a"], patience=60))
            self.assertEqual("Paused", self.api.vm(self.source["uuid"])["state"])
            with self.assertRaises(TimeoutError):
                self.agent.call("guest-ping", 3)
        finally:
            self.api.action(self.source["uuid"], "resumeVmInstance")
        self.agent.call("guest-ping", 60)
        self.expunge_clones()
        self.assert_as_before()

    def image_begun(self):
        memory = pathlib.Path(self.server.data_dir) / "memory"
        return next(iter(memory.glob("*/ram")), None) if memory.exists() else None

    def resize(self, place, size):
        """None: to what is in it."""
        facts = os.statvfs(place)
        used = (facts.f_blocks - facts.f_bfree) * facts.f_bsize
        subprocess.run(["mount", "-o", f"remount,size={size or used}", place], check=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
