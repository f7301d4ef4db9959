"""Disks and memory of a clone are of one instant: a guest that writes what it counts to two disks, and reads them back, never sees them apart from its memory."""
import json
import pathlib
import struct
import subprocess
import time
import unittest

from instants import MIB, InstantWorld
from support import WithWriter

CLONES = 8
LOAD = "echo $$ >/run/load.pid; while :; do n=$((n+1)); mkdir -p /root/load/$((n % 7)); echo $n >/root/load/$((n % 7))/$n; rm -rf /root/load/$(((n + 3) % 7)); sync; sleep 0.1; done"


class OneInstant(WithWriter, InstantWorld):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.carry_writer()

    def attach(self, name, mebibytes):
        volume = self.api.post("/volumes/data", {"params": {"name": name, "diskSize": mebibytes * MIB}})["inventory"]
        self.api.post(f"/volumes/{volume['uuid']}/vm-instances/{self.source['uuid']}", {"params": {}})
        return volume

    def remove_volumes(self):
        for volume in self.api.rows("/volumes", "type=Data"):
            if volume.get("vmInstanceUuid"):
                self.api.delete(f"/volumes/{volume['uuid']}/vm-instances")
            self.api.delete("/volumes/" + volume["uuid"])
            self.api.put(f"/volumes/{volume['uuid']}/actions", {"expungeDataVolume": {}})

    def number_of(self, guest):
        number, other = (int(word) for word in guest.run("cat /run/instant", 60).split())
        self.assertGreater(number, 0, f"at number {-number} of its memory the guest read {other} from a disk")
        return number

    def goes_on(self, guest, patience=60):
        first, end = self.number_of(guest), time.monotonic() + patience
        while self.number_of(guest) < first + 3:
            self.assertLess(time.monotonic(), end, "the guest writes no more")
            time.sleep(0.1)
        return first

    def sealed_below(self, volume):
        told = subprocess.run(["qemu-img", "info", "-U", "--output", "json", volume["installPath"]], check=True, capture_output=True, text=True).stdout
        return json.loads(told)["full-backing-filename"]

    def faults_of_file_system(self, vm):
        """What e2fsck says of the root file system of a VM that was stopped; nothing when it is sound."""
        raw = pathlib.Path(self.directory) / "raw"
        subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", vm["allVolumes"][0]["installPath"], raw], check=True)
        with open(raw, "rb") as disk:
            disk.seek(446 + 8)
            start = struct.unpack("<I", disk.read(4))[0] * 512
        done = subprocess.run(["e2fsck", "-fn", f"{raw}?offset={start}"], capture_output=True, text=True)
        return done.stdout + done.stderr if done.returncode else ""

    def test_memory_and_all_disks_are_cut_at_one_instant_under_load(self):
        disks = [self.device_of(self.attach(name, size)) for name, size in (("a", 64), ("b", 65))]
        self.in_background(f"/run/writer instant {disks[0]} {disks[1]} /run/instant")
        self.in_background(LOAD)
        self.wait_for_number()
        clones, live, before = [], [], 0
        for names in ([f"c{i}" for i in range(CLONES)], ["d"], ["e"]):
            made, detail = self.clone(*names, full=True, patience=180)
            live.append(detail["capture"]["live"])
            volumes = {volume["size"] // MIB: volume for volume in made[0]["allVolumes"] if volume["type"] == "Data"}
            a, b = (self.number_on(self.sealed_below(volumes[size])) for size in (64, 65))
            self.assertIn(a - b, (0, 1), (a, b))
            self.assertGreater(a, before, "the guest was not writing all the while")
            before = a
            for vm in made:
                self.assertGreaterEqual(self.goes_on(self.guest(vm)), b)
                self.rest(self.guest(vm))  # the next instants have the machine for themselves
            clones += made
        self.goes_on(self.agent)
        print(f"\n  {len(clones)} clones of {len(live)} instants (live: {live}), the last with {before} on A")
        for vm in (clones[0], clones[-1]):
            self.api.action(vm["uuid"], "stopVmInstance")
            self.assertEqual("", self.faults_of_file_system(self.api.vm(vm["uuid"])))
        self.rest(self.agent)
        for vm in clones:
            self.expunge(vm["uuid"])
        self.remove_volumes()

    def rest(self, guest):
        guest.run("killall writer; kill $(cat /run/load.pid)", 60)

    def wait_for_number(self, patience=60):
        end = time.monotonic() + patience
        while not self.agent.run("cat /run/instant 2>/dev/null; true").strip():
            self.assertLess(time.monotonic(), end, "the guest does not begin to write")
            time.sleep(0.1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
