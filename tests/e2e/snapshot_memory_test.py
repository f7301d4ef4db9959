"""Groups of snapshots with memory on real guests: a VM that is taken back goes on from the very instant, as itself."""
import os
import subprocess
import time
import unittest

from instants import COUNT, COUNTER, PRIVILEGED, InstantWorld
from support import RAMET

MIB = 1 << 20


class SnapshotMemory(InstantWorld):
    def setUp(self):
        if self.api.vm(self.source["uuid"])["state"] != "Running":
            self.state("startVmInstance")
        self.agent.call("guest-ping", 180)
        if self.agent.run("[ -e /run/token ] || echo booted", 90) == "booted":
            self.agent.run(COUNTER)

    def tearDown(self):
        if self.api.vm(self.source["uuid"])["state"] == "Paused":
            self.state("resumeVmInstance")
        for snapshot in self.api.rows("/volume-snapshots"):
            self.api.delete("/volume-snapshots/" + snapshot["uuid"])
        for volume in self.api.rows("/volumes", "type=Data"):
            self.drop(volume)
        self.state("stopVmInstance", type="cold")  # its process may map what was kept
        super().tearDown()
        self.assertEqual([], self.api.rows("/volume-snapshots/group"))

    def drop(self, volume):
        if "vmInstanceUuid" in volume:
            self.api.delete(f"/volumes/{volume['uuid']}/vm-instances")
        self.api.delete("/volumes/" + volume["uuid"])
        self.api.put(f"/volumes/{volume['uuid']}/actions", {"expungeDataVolume": {}})

    def state(self, action, **parameters):
        return self.api.action(self.source["uuid"], action, **parameters)

    def group(self, name="warm", memory=True):
        params = {"rootVolumeUuid": self.source["rootVolumeUuid"], "name": name, "withMemory": memory}
        return self.api.post("/volume-snapshots/group", {"params": params})["inventory"]

    def revert(self, group):
        return self.api.put(f"/volume-snapshots/group/{group['uuid']}/actions", {"revertVmFromSnapshotGroup": {}})["results"]

    def back_to(self, group):
        self.state("stopVmInstance", type="cold")
        results = self.revert(group)
        self.assertEqual([True] * group["snapshotCount"], [entry["success"] for entry in results])
        vm = self.api.vm(self.source["uuid"])
        self.assertEqual("Running", vm["state"])
        return vm

    def availability(self, group):
        return self.api.get("/volume-snapshots/groups/availabilities?uuids=" + group["uuid"])["results"][0]

    def data_volume(self):
        volume = self.api.post("/volumes/data", {"params": {"name": "d", "diskSize": 64 * MIB}})["inventory"]
        self.api.post(f"/volumes/{volume['uuid']}/vm-instances/{self.source['uuid']}", {"params": {}})
        find = f"for b in /sys/block/vd*; do [ \"$(cat $b/serial)\" = {volume['uuid'][:20]} ] && echo /dev/${{b##*/}}; done; true"
        end = time.monotonic() + 60
        while not (device := self.agent.run(find, 90)) and time.monotonic() < end:
            time.sleep(0.1)
        return volume, device

    def test_a_vm_goes_on_from_the_instant_with_its_disks_of_then(self):
        _, device = self.data_volume()
        raw = f"dd if={device} bs=512 count=1 iflag=direct 2>/dev/null | head -n 1"
        self.agent.run(f"echo one >/root/note; sync; echo one | dd of={device} bs=512 conv=sync 2>/dev/null; sync")
        token, count = self.agent.run("cat /run/token"), int(self.agent.run(COUNT))
        who = "hostname; cat /etc/machine-id /sys/class/net/eth0/address; cat /etc/ssh/ssh_host_*.pub /etc/dropbear/* 2>/dev/null | md5sum"
        before = self.agent.run(who)
        group = self.group()
        self.assertIn("memoryImageUuid", group)
        self.assertEqual((2, 1), (group["snapshotCount"], len(self.images())))
        self.assertEqual({"uuid": group["uuid"], "available": True}, self.availability(group))
        generations = [self.own_generation_id(self.source)]
        for times in (1, 2):  # the instant stays what it was
            with self.subTest(times=times):
                self.agent.run(f"echo later >/run/token; echo two >/root/note; sync; echo two | dd of={device} bs=512 conv=sync 2>/dev/null; sync")
                vm = self.back_to(group)
                self.assertEqual([token, "one", "one"], self.agent.run(f"cat /run/token /root/note; {raw}", 60).split())
                self.counts_on(self.agent, count)
                self.assertEqual(before, self.agent.run(who))
                self.assertLess(abs(time.time() - int(self.agent.run("date +%s"))), 5)
                self.assertTrue(not PRIVILEGED or self.answers(vm["vmNics"][0]["ip"]))
                self.assertEqual("new", self.identity("smbios-uuid")["state"])
                generations.append(self.own_generation_id(self.source))
                self.assertEqual({}, self.violated())
        self.agent.run("echo three >/root/note; sync")
        self.state("stopVmInstance", type="cold")
        self.state("startVmInstance")
        self.assertEqual("three", self.agent.run("cat /root/note", 90))
        self.assertEqual(3, len(set(generations)))
        self.assertEqual(generations[-1], self.own_generation_id(self.source), "it boots what it was")

    def identity(self, name):
        return next(fact for fact in self.api.get(f"/vm-instances/{self.source['uuid']}/identity")["facts"] if fact["identifier"] == name)

    def test_the_instant_of_a_paused_vm_goes_on_running(self):
        token = self.agent.run("cat /run/token")
        self.state("pauseVmInstance")
        group = self.group()
        self.assertEqual("Paused", self.api.vm(self.source["uuid"])["state"])
        self.state("resumeVmInstance")
        self.agent.run("echo later >/run/token")
        self.back_to(group)
        self.assertEqual(token, self.agent.run("cat /run/token", 60))
        self.counts_on(self.agent, 1)

    def test_what_has_no_memory_to_keep_is_refused(self):
        self.state("stopVmInstance", type="cold")
        self.refused("SYS.1006", "withMemory", "only a Running or Paused one has a memory to keep", call=self.group)
        self.assertEqual(([], []), (self.api.rows("/volume-snapshots/group"), self.images()))

    def test_a_vm_with_other_devices_is_refused_and_left_alone(self):
        group = self.group()
        paths = {row["uuid"]: row["installPath"] for row in self.api.rows("/volumes")}
        self.state("stopVmInstance", type="cold")

        def refused(words):
            self.assertIn(words, self.availability(group)["reason"])
            self.refused("SYS.1006", words, call=lambda: self.revert(group))
            self.assertEqual("Stopped", self.api.vm(self.source["uuid"])["state"])
            self.assertEqual(paths, {row["uuid"]: row["installPath"] for row in self.api.rows("/volumes", "type=Root")})

        memory = self.source["memorySize"]
        self.state("updateVmInstance", cpuNum=2)
        refused("cpuNum 1")
        self.state("updateVmInstance", cpuNum=1, memorySize=memory + 64 * MIB)
        refused(f"memorySize {memory}")
        self.state("updateVmInstance", memorySize=memory)
        self.state("startVmInstance")
        self.agent.call("guest-ping", 180)
        volume, _ = self.data_volume()
        self.state("stopVmInstance", type="cold")
        paths = {row["uuid"]: row["installPath"] for row in self.api.rows("/volumes", "type=Root")}
        refused("was attached after the group was taken")
        self.drop(self.api.rows("/volumes", "uuid=" + volume["uuid"])[0])
        # The disks alone can be taken back whatever the VM is.
        self.api.put(f"/volume-snapshots/{group['volumeSnapshotRefs'][0]['volumeSnapshotUuid']}/actions", {"revertVolumeFromSnapshot": {}})
        self.assertEqual("Stopped", self.api.vm(self.source["uuid"])["state"])
        self.revert(group)
        self.assertEqual("Running", self.api.vm(self.source["uuid"])["state"])

    def test_memory_that_cannot_be_loaded_leaves_the_vm_stopped_on_its_disks(self):
        group = self.group()
        self.agent.run("echo mine >/root/note; sync")
        self.state("stopVmInstance", type="cold")
        (image,) = self.images()
        state = image / "state"
        if os.geteuid() == 0:
            subprocess.run(["chattr", "-f", "-i", str(state)], check=False, stderr=subprocess.DEVNULL)
        os.chmod(state, 0o600)
        content = state.read_bytes()
        state.write_bytes(bytes([content[0] ^ 0x40]) + content[1:])
        self.refused("SYS.1006", "it is Stopped, with the disks it had", call=lambda: self.revert(group))
        vm = self.api.vm(self.source["uuid"])
        self.assertEqual(("Stopped", None), (vm["state"], vm.get("hostUuid")))
        self.assert_nothing_left_over()
        self.state("startVmInstance")
        self.assertEqual("mine", self.agent.run("cat /root/note", 90))
        self.state("stopVmInstance", type="cold")
        state.write_bytes(content)
        self.revert(group)
        self.assertEqual("", self.agent.run("cat /root/note 2>/dev/null | grep mine; true", 60))

    def test_the_memory_stays_while_anyone_needs_it_and_no_longer(self):
        for path in ("/volume-snapshots/group/", "/volume-snapshots/ungroup/"):
            self.assertEqual(0, len(self.images()))
            group = self.group()
            self.restart()
            self.assertEqual(1, len(self.images()))
            self.api.delete(path + group["uuid"])
            self.assertEqual([], self.images())
            self.assert_nothing_left_over()
        last = self.group("last")
        for snapshot in last["volumeSnapshotRefs"]:
            self.api.delete("/volume-snapshots/" + snapshot["volumeSnapshotUuid"])
        self.assertEqual([], self.images())
        held = self.group("held")
        self.back_to(held)
        self.api.delete("/volume-snapshots/group/" + held["uuid"])
        self.assertEqual(1, len(self.images()), "its process maps it")
        self.assert_nothing_left_over()
        self.counts_on(self.agent, 1)
        self.state("stopVmInstance", type="cold")
        self.assertEqual([], self.images())

    def test_clones_of_a_group_go_on_from_its_memory_and_hold_it(self):
        token = self.agent.run("cat /run/token")
        group = self.group()
        self.agent.run("echo later >/run/token")
        (clone,), _ = self.clone("of-group", volumeSnapshotGroupUuid=group["uuid"])
        self.assertEqual([token, "of-group"], self.guest(clone).run("cat /run/token; hostname", 60).split())
        self.api.delete("/volume-snapshots/group/" + group["uuid"])
        self.assertEqual(1, len(self.images()))
        self.expunge(clone["uuid"])
        self.assertEqual([], self.images())

    def test_groups_go_with_their_vm_and_their_memory_with_them(self):
        (vm,), _ = self.clone("brief")
        params = {"rootVolumeUuid": vm["rootVolumeUuid"], "name": "g", "withMemory": True}
        self.api.post("/volume-snapshots/group", {"params": params})
        self.expunge(vm["uuid"])
        self.assertEqual([], self.images())

    def test_the_command_line_keeps_shows_and_goes_back(self):
        token = self.agent.run("cat /run/token")
        environment = {**os.environ, "RAMET_SERVER": self.server.url, "RAMET_PASSWORD": self.server.password}

        def ramet(*arguments):
            done = subprocess.run([RAMET, *arguments], env=environment, capture_output=True, text=True, timeout=120)
            self.assertEqual(0, done.returncode, done.stdout + done.stderr)
            return done.stdout

        ramet("snapshot", "create", "web01", "by-hand", "--memory")
        image = self.api.rows("/volume-snapshots/group")[0]["memoryImageUuid"]
        self.assertIn(image, ramet("snapshot", "list", "--groups"))
        self.agent.run("echo later >/run/token")
        ramet("vm", "stop", "web01", "--cold")
        ramet("snapshot", "check", "by-hand")
        ramet("snapshot", "revert", "by-hand")
        self.assertEqual(token, self.agent.run("cat /run/token", 60))


if __name__ == "__main__":
    unittest.main(verbosity=2)
