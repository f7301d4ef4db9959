"""Instant clones are VMs like any other: five generations, volumes, snapshots, cold starts, in any order; old captures."""
import os
import pathlib
import time
import unittest

from frames import Sniffer
from instants import MIB, PRIVILEGED, InstantWorld
from screen import picture
from support import WRITER

CLONES = int(os.environ.get("RAMET_CLONES", "10"))
AT_ONCE = 10
DAY = 24 * 3600
# What must be each guest's own. The random bytes come first: nothing has drawn any since the guest went on but what made its keys.
VALUES = "echo random $(/run/writer random 4096); echo host-name $(hostname); echo machine-id $(cat /etc/machine-id); echo mac $(cat /sys/class/net/eth0/address); " \
         "echo ip $(ip -4 -o addr show dev eth0 | sed 's/.*inet //; s,/.*,,'); for key in /etc/dropbear/*_host_key; do echo ${key##*/} $(md5sum <$key); done"
KINDS = {"random", "host-name", "machine-id", "mac", "ip", "dropbear_ed25519_host_key", "dropbear_ecdsa_host_key"}


def values_of(guest):
    return dict(line.split()[:2] for line in guest.run(VALUES, 90).splitlines())


class Life(InstantWorld):
    def test_five_generations_go_on_from_each_other_and_go_in_any_order(self):
        token, vm, line = self.agent.run("cat /run/token"), self.source, []
        for generation in range(1, 6):
            vm = self.clone(f"gen{generation}", vm=vm)[0][0]
            self.guest(vm).run(f"echo {generation} >>/root/generations; sync", 60)
            line.append(vm)
        last = self.guest(line[4])
        self.assertEqual([token, "gen5", "1", "2", "3", "4", "5"], last.run("cat /run/token; hostname; cat /root/generations").split())
        self.assertEqual(6, len({vm["uuid"] for vm in line} | {self.source["uuid"]}))
        for index in (1, 3, 0, 2):
            self.expunge(line[index]["uuid"])
            self.counts_on(last, 1)
        self.api.action(line[4]["uuid"], "stopVmInstance", type="cold")
        self.api.action(line[4]["uuid"], "startVmInstance")
        self.assertEqual("1 2 3 4 5", last.run("cat /root/generations", 90).replace("\n", " "))

    def test_a_clone_shows_what_the_source_showed(self):
        def shown(vm):
            return b"".join(pixels for _, pixels in sorted(picture(pathlib.Path(self.server.data_dir) / "run" / vm["uuid"] / "vnc.sock").items()))
        before = shown(self.source)
        self.assertGreater(len(set(before)), 1, "the source's screen is blank: nothing would be compared")
        after = shown(self.clone("seen")[0][0])
        self.assertEqual(len(before), len(after))
        differing = sum(one != other for one, other in zip(before, after))
        self.assertLess(differing, len(before) // 500, "more than a cursor that blinks")

    def test_volumes_snapshots_and_clones_of_a_clone(self):
        vm = self.clone("base")[0][0]
        guest = self.guest(vm)
        volume = self.api.post("/volumes/data", {"params": {"name": "d", "diskSize": 16 * MIB}})["inventory"]
        self.api.post(f"/volumes/{volume['uuid']}/vm-instances/{vm['uuid']}", {"params": {}})
        disk = guest.run("end=100; until d=$(grep -l 32768 /sys/block/vd*/size); do end=$((end-1)); [ $end -gt 0 ] || exit 1; sleep 0.1; done; echo $d | cut -d/ -f4", 60)
        guest.run(f"echo on-the-volume | dd of=/dev/{disk} conv=fsync 2>/dev/null")
        both, _ = self.clone("both", vm=vm, full=True)
        copy = self.guest(both[0])
        self.assertEqual("on-the-volume", copy.run(f"head -c 13 /dev/{disk}", 60))
        own = [v for v in both[0]["allVolumes"] if v["type"] == "Data"]
        self.assertEqual(1, len(own))
        self.api.delete(f"/volumes/{own[0]['uuid']}/vm-instances")
        copy.run(f"end=100; while [ -e /sys/block/{disk} ]; do end=$((end-1)); [ $end -gt 0 ] || exit 1; sleep 0.1; done")
        for uuid in (own[0]["uuid"],):
            self.api.delete("/volumes/" + uuid)
            self.api.put(f"/volumes/{uuid}/actions", {"expungeDataVolume": {}})
        self.api.delete(f"/volumes/{volume['uuid']}/vm-instances")
        guest.run("echo before >/root/mark; sync")
        group = self.api.post("/volume-snapshots/group", {"params": {"name": "s", "rootVolumeUuid": vm["rootVolumeUuid"]}})["inventory"]
        guest.run("echo after >/root/mark; sync")
        self.api.action(vm["uuid"], "stopVmInstance", type="cold")
        self.api.put(f"/volume-snapshots/group/{group['uuid']}/actions", {"revertVmFromSnapshotGroup": {}})
        self.api.action(vm["uuid"], "startVmInstance")
        self.assertEqual("before", self.guest(vm).run("cat /root/mark", 90))
        plain = self.api.clone(vm["uuid"], ["plain"])["inventories"][0]["inventory"]
        self.api.delete("/volume-snapshots/group/" + group["uuid"])
        self.expunge(vm["uuid"])
        self.assertEqual("before", self.guest(plain).run("cat /root/mark", 90))
        self.api.delete("/volumes/" + volume["uuid"])
        self.api.put(f"/volumes/{volume['uuid']}/actions", {"expungeDataVolume": {}})

    def test_an_old_capture_gives_each_clone_values_of_its_own_and_the_time_of_now(self):
        """The guest's clock is a day behind when it is captured, as if the capture were a day old."""
        self.agent.put_program("/run/writer", WRITER.read_bytes())
        self.agent.run(f"date -u -s @$(($(date +%s)-{DAY}))")
        try:
            checkpoint = self.api.post(f"/vm-instances/{self.source['uuid']}/checkpoints", {"params": {"name": "old", "memory": True}})["inventory"]
        finally:
            self.agent.run(f"date -u -s @$(($(date +%s)+{DAY}))")
        # The source goes on from that instant too.
        found, errors = [values_of(self.agent)], []
        for first in range(0, CLONES, AT_ONCE):
            names = [f"aged-{index:03}" for index in range(first, min(first + AT_ONCE, CLONES))]
            sniffer = Sniffer() if PRIVILEGED else None
            result = self.api.put(f"/checkpoints/{checkpoint['uuid']}/actions", {"cloneVmInstance": {"names": names, "memory": True}})["result"]
            self.assertEqual(len(names), result["numberOfClonedVm"], result)
            clones = [entry["inventory"] for entry in result["inventories"]]
            for vm in clones:
                guest, nic = self.guest(vm), vm["vmNics"][0]
                asked = time.time()
                told = guest.call("guest-get-time", 60) / 1e9
                errors.append(max(asked - told, told - time.time(), 0.0))
                values = values_of(guest)
                self.assertEqual([vm["name"], vm["uuid"], nic["mac"], nic["ip"]], [values[kind] for kind in ("host-name", "machine-id", "mac", "ip")])
                found.append(values)
            if sniffer:
                time.sleep(1)
                self.no_frame_of_the_source(sniffer.close(), clones)
            for vm in clones:  # off, a VM keeps its addresses from the next wave and takes no processor
                self.api.action(vm["uuid"], "stopVmInstance", type="cold")
        self.assertEqual([KINDS] * (CLONES + 1), [set(values) for values in found])
        self.assertEqual({kind: CLONES + 1 for kind in KINDS}, {kind: len({values[kind] for values in found}) for kind in KINDS})
        self.assertEqual({8192}, {len(values["random"]) for values in found})
        self.api.delete("/checkpoints/" + checkpoint["uuid"])
        print(f"\n  clock of {CLONES} clones wrong by {max(errors) * 1000:.0f} ms at most")
        self.assertLess(max(errors), 0.5)


if __name__ == "__main__":
    unittest.main(verbosity=2)
