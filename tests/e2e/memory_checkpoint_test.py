"""Checkpoints with memory on real guests: clones go on from a kept instant at any later time, however long the source has been gone."""
import json
import os
import pathlib
import sqlite3
import subprocess
import time
import unittest

from instants import COUNT, COUNTER, KeptWorld
from support import ApiError


class Kept(KeptWorld):
    arguments = ("--ready-processes", "1")

    def tearDown(self):
        super().tearDown()
        end = time.monotonic() + 10  # one that is being made when its checkpoint goes ends when it has been made
        while self.ready() and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual([], self.ready())

    def edit_images(self, old, new):
        """As if the images had been made by another host."""
        self.server.stop()
        with sqlite3.connect(next(pathlib.Path(self.server.data_dir).glob("*.db*"))) as database:
            database.execute("UPDATE memory_image SET layout = replace(layout, ?, ?)", (old, new))
        self.server.start()
        type(self).api = self.server.api()

    def test_clones_go_on_from_a_kept_instant_without_a_touch_on_the_source(self):
        token, count = self.agent.run("cat /run/token"), int(self.agent.run(COUNT))
        checkpoint = self.keep()
        self.assertIn("memoryImageUuid", checkpoint)
        self.agent.run("echo later >/run/token")
        self.restart()
        self.api.action(self.source["uuid"], "stopVmInstance", type="cold")
        try:
            for vm in self.clones_of(checkpoint, "one", "two"):
                guest = self.guest(vm)
                self.assertEqual([token, vm["name"], vm["uuid"]], guest.run("cat /run/token; hostname; cat /etc/machine-id", 60).split())
                self.counts_on(guest, count)
                self.assertEqual(vm["vmNics"][0]["mac"], guest.run("cat /sys/class/net/eth0/address"))
                self.assertLess(abs(time.time() - int(guest.run("date +%s"))), 5)
            self.assertEqual("Stopped", self.api.vm(self.source["uuid"])["state"])
        finally:
            self.api.action(self.source["uuid"], "startVmInstance")
            self.agent.call("guest-ping", 90)
            self.agent.run(COUNTER)  # which ended with the guest's memory
        self.assertEqual(1, len(self.images()))

    def test_the_memory_stays_while_anyone_needs_it_and_no_longer(self):
        checkpoint = self.keep()
        vm = self.clones_of(checkpoint, "holder")[0]
        self.api.delete("/checkpoints/" + checkpoint["uuid"])
        self.assertEqual(1, len(self.images()))
        self.assertEqual("holder", self.guest(vm).run("hostname", 60))
        self.expunge(vm["uuid"])
        self.assertEqual([], self.images())
        unused = self.keep("unused")
        self.assertEqual(1, len(self.images()))
        self.restart()
        self.assertEqual(1, len(self.images()))
        self.api.delete("/checkpoints/" + unused["uuid"])
        self.assertEqual([], self.images())

    def test_a_process_that_was_kept_ready_is_a_vm_like_any_other(self):
        token = self.agent.run("cat /run/token")
        checkpoint = self.keep()
        waiting = self.wait_for_ready(1)
        begun = time.monotonic()
        vm = self.clones_of(checkpoint, "soon")[0]
        print(f"\n  a clone by a process kept ready, with its gate: {(time.monotonic() - begun) * 1000:.0f} ms")
        run = pathlib.Path(self.server.data_dir) / "run" / vm["uuid"]
        self.assertEqual(waiting, [int((run / "pid").read_text().split()[0])])
        guest = self.guest(vm)
        self.assertEqual([token, "soon"], guest.run("cat /run/token; hostname", 60).split())
        waited = self.own_generation_id(vm)
        address = "cat /sys/class/net/eth0/address"
        self.assertEqual(vm["vmNics"][0]["mac"], guest.run(address))
        seed = "grep -a instance-id /dev/$(grep -l cidata /sys/block/vd*/serial | cut -d/ -f4)"
        self.assertIn(vm["uuid"], guest.run(seed), "its seed disk is its own")
        guest.run("echo mine >/root/mark; sync")
        volume = self.api.post("/volumes/data", {"params": {"name": "d", "diskSize": 16 << 20}})["inventory"]
        self.api.post(f"/volumes/{volume['uuid']}/vm-instances/{vm['uuid']}", {"params": {}})
        self.assertEqual("vdb", guest.run("until [ -e /sys/block/vdc ] || [ -e /sys/block/vdb/device ]; do sleep 0.1; done; ls /sys/block | grep vdb"))
        self.api.delete(f"/volumes/{volume['uuid']}/vm-instances")
        self.api.delete("/volumes/" + volume["uuid"])
        self.api.put(f"/volumes/{volume['uuid']}/actions", {"expungeDataVolume": {}})
        self.wait_for_ready(1)
        self.restart()
        self.assertEqual("Running", self.api.vm(vm["uuid"])["state"])
        (second,), detail = self.clone("of-soon", vm=vm)
        self.assertNotIn("late-block-activate", detail["capture"]["liveReason"])
        self.assertEqual([token, "mine", "of-soon"], self.guest(second).run("cat /run/token /root/mark; hostname", 60).split())
        self.assertEqual(waited, self.own_generation_id(vm), "the server that comes later knows it too")
        self.own_generation_id(second)
        facts = self.api.get(f"/vm-instances/{second['uuid']}/identity")["facts"]
        self.assertIn(waited, [fact.get("oldValue") for fact in facts if fact["identifier"] == "vm-generation-id"])
        guest.run("(sleep 0.2; reboot -f) >/dev/null 2>&1 </dev/null &")
        self.wait_for_boot(guest)
        self.assertEqual(["mine", "soon", vm["vmNics"][0]["mac"]], guest.run("cat /root/mark; hostname; " + address).split())
        self.api.action(vm["uuid"], "stopVmInstance", type="cold")
        self.api.action(vm["uuid"], "startVmInstance")
        self.assertEqual("mine", self.guest(vm).run("cat /root/mark", 90))
        self.assertNotEqual(waited, self.own_generation_id(vm), "it has booted in a process of its own")

    def test_clones_that_a_waiting_process_cannot_serve_are_made_without_it(self):
        token = self.agent.run("cat /run/token")
        checkpoint = self.keep()
        waiting = self.wait_for_ready(1)
        l3 = self.api.vm(self.source["uuid"])["vmNics"][0]["l3NetworkUuid"]
        mac = "fa:00:5e:00:53:07"
        own = self.clones_of(checkpoint, "own-mac", vmNicParams=[{"l3NetworkUuid": l3, "mac": mac}])[0]
        self.assertEqual([mac, mac, token], [own["vmNics"][0]["mac"], *self.guest(own).run("cat /sys/class/net/eth0/address /run/token", 60).split()])
        self.assertEqual(waiting, self.ready())
        pair = self.clones_of(checkpoint, "first", "second")
        pids = [int((pathlib.Path(self.server.data_dir) / "run" / vm["uuid"] / "pid").read_text().split()[0]) for vm in pair]
        self.assertEqual(1, len(set(waiting) & set(pids)), (waiting, pids))
        for vm in pair:
            found = self.guest(vm).run("cat /sys/class/net/eth0/address /run/token; hostname", 60).split()
            self.assertEqual([vm["vmNics"][0]["mac"], token, vm["name"]], found)

    def test_no_process_is_left_waiting_by_a_server_that_ended(self):
        self.keep()
        before = self.wait_for_ready(1)
        self.server.stop(how=9)
        self.assertEqual(before, self.ready())
        self.server.start()
        type(self).api = self.server.api()
        self.assertNotIn(before[0], self.wait_for_ready(1))
        self.server.stop()
        self.assertEqual([], self.ready())
        self.server.start()
        type(self).api = self.server.api()

    def test_memory_that_no_longer_fits_is_refused_with_the_reason(self):
        checkpoint = self.keep()
        for old, new, words in (('"qemu":"QEMU 7.2"', '"qemu":"QEMU 6.2"', "the QEMU version was QEMU 6.2"), ('"devices":"2"', '"devices":"1"', "the device layout was 1")):
            self.edit_images(old, new)
            self.refused("SYS.1006", words, call=lambda: self.clones_of(checkpoint, "no"))
            self.edit_images(new, old)
        plain = self.api.put(f"/checkpoints/{checkpoint['uuid']}/actions", {"cloneVmInstance": {"names": ["plain"], "strategy": "CreateStopped"}})
        self.assertEqual(1, plain["result"]["numberOfClonedVm"])

    def test_what_was_not_kept_is_refused(self):
        plain = self.api.post(f"/vm-instances/{self.source['uuid']}/checkpoints", {"params": {"name": "disks"}})["inventory"]
        self.refused("SYS.1006", "disks alone", call=lambda: self.clones_of(plain, "no"))
        stopped = self.api.clone(self.source["uuid"], ["stopped"], strategy="CreateStopped")["inventories"][0]["inventory"]
        with self.assertRaises(ApiError) as caught:
            self.api.post(f"/vm-instances/{stopped['uuid']}/checkpoints", {"params": {"name": "no", "memory": True}})
        self.assertIn("only a Running or Paused", str(caught.exception))

    def test_the_command_line_keeps_and_clones(self):
        environment = {**os.environ, "RAMET_SERVER": self.server.url, "RAMET_PASSWORD": self.server.password}
        for arguments in (["checkpoint", "create", "web01", "warm", "--memory"], ["clone", "--checkpoint", "warm", "by-hand", "--memory"]):
            done = subprocess.run([os.environ["RAMET"], *arguments], env=environment, capture_output=True, text=True, timeout=120)
            self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        vm = self.api.rows("/vm-instances", "name=by-hand")[0]
        self.assertEqual("by-hand", self.guest(vm).run("hostname", 60))

    def test_kill_at_every_step_leaves_a_whole_checkpoint_or_none(self):
        for point in ("qemu.memory.stopped", "memory-captured-before-row", "captured", "step-after-effect"):
            with self.subTest(point):
                self.restart(RAMET_CRASH_POINT=point)
                try:
                    self.keep(point)
                except (OSError, ApiError, json.JSONDecodeError):
                    pass
                self.restart()
                end = time.monotonic() + 60
                while any(finding["kind"] == "unfinished job" for finding in self.doctor()) and time.monotonic() < end:
                    time.sleep(0.1)
                self.assert_nothing_left_over()
                for checkpoint in self.api.rows("/checkpoints"):
                    self.assertEqual("after", self.guest(self.clones_of(checkpoint, "after")[0]).run("hostname", 60))
                self.counts_on(self.agent, 1)
                self.tearDown()

    def assert_killed(self, patience=60):
        end = time.monotonic() + patience
        while self.server.process.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        self.assertIsNotNone(self.server.process.poll(), "the point was never passed")

    def test_kill_at_every_step_of_a_clone_leaves_the_checkpoint_and_nothing_else(self):
        checkpoint = self.keep()
        for point in ("memory-used", "qemu.ready-taken", "qemu.memory.loaded", "memory-resumed", "gate-passed"):
            with self.subTest(point):
                self.restart(RAMET_CRASH_POINT=point)
                if point == "qemu.ready-taken":
                    self.wait_for_ready(1)
                try:
                    self.clones_of(checkpoint, "a", "b")
                except (OSError, ApiError, AssertionError, json.JSONDecodeError):
                    pass
                self.assert_killed()
                self.restart()
                end = time.monotonic() + 60
                while any(finding["kind"] == "unfinished job" for finding in self.doctor()) and time.monotonic() < end:
                    time.sleep(0.1)
                made = [vm for vm in self.api.rows("/vm-instances") if vm["uuid"] != self.source["uuid"]]
                if point == "qemu.ready-taken":
                    self.assertEqual(2, len(made))
                    for vm in made:
                        self.keeps_what_it_writes(vm)
                for vm in made:
                    self.expunge(vm["uuid"])
                self.assert_nothing_left_over()
                self.assertEqual(1, len(self.images()))

    def keeps_what_it_writes(self, vm):
        self.guest(vm).run("echo kept >/root/kept; sync", 60)
        self.api.action(vm["uuid"], "stopVmInstance", type="cold")
        self.api.action(vm["uuid"], "startVmInstance")
        self.assertEqual("kept", self.guest(vm).run("cat /root/kept", 90))


if __name__ == "__main__":
    unittest.main(verbosity=2)
