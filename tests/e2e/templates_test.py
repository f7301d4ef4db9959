"""Clones that go on together are forks of one machine: each is a VM like any other, and nothing of one is another's."""
import os
import pathlib
import signal
import threading
import time
import unittest

from frames import Sniffer
from instants import COUNT, MIB, PRIVILEGED, InstantWorld
from support import ApiError

NAMES = [f"fork{i}" for i in range(6)]
# What a guest has of its machine, each of its own
OWN = "cat /sys/class/net/eth0/address /sys/class/dmi/id/product_uuid /sys/class/dmi/id/product_serial; head -c 16 /dev/hwrng | md5sum"


@unittest.skipUnless(PRIVILEGED, "forks have taps, which only root makes")
class Forks(InstantWorld):
    def run_directory(self):
        return pathlib.Path(self.server.data_dir) / "run"

    def pid_in(self, directory):
        try:
            return int((directory / "pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None

    def pid_of(self, vm):
        return self.pid_in(self.run_directory() / vm["uuid"])

    def is_fork(self, vm):
        return b"guest=ready" in pathlib.Path(f"/proc/{self.pid_of(vm)}/cmdline").read_bytes()

    def templates(self):
        return list(self.run_directory().glob("template-*"))

    def template_of_a_call(self, patience=60):
        """The pid of the template that the next call makes."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            for directory in self.templates():
                if pid := self.pid_in(directory):
                    return pid
            time.sleep(0.001)
        return None

    def clones_while(self, act):
        thread = threading.Thread(target=act)
        thread.start()
        clones, _ = self.clone(*NAMES)
        thread.join()
        return clones

    def test_nothing_of_one_is_anothers_also_after_a_reboot(self):
        count, sniffer = int(self.agent.run(COUNT)), Sniffer()
        clones, _ = self.clone(*NAMES)
        self.assertEqual([True] * len(NAMES), [self.is_fork(vm) for vm in clones])
        self.assertLessEqual(len(self.templates()), 1)  # it may have gone by now
        for vm in clones:
            self.counts_on(self.guest(vm), count)
        self.no_frame_of_the_source(sniffer.close(), clones)
        own = {self.guest(vm).run("cat /sys/class/net/eth0/address; head -c 16 /dev/hwrng | md5sum") for vm in clones}
        self.assertEqual(len(NAMES), len(own))
        self.assertEqual(len(NAMES), len({self.own_generation_id(vm) for vm in clones}))
        vm = clones[0]
        self.guest(vm).run("sync; (sleep 1; reboot -f) >/dev/null 2>&1 </dev/null &")
        self.wait_for_boot(self.guest(vm))
        self.assertTrue(self.is_fork(vm))
        mac, uuid, serial, _ = self.guest(vm).run(OWN, 60).splitlines()
        self.assertEqual((vm["vmNics"][0]["mac"], vm["uuid"], vm["uuid"]), (mac, uuid.replace("-", ""), serial))

    def volume_comes_and_goes(self, vm):
        guest = self.guest(vm)
        volume = self.api.post("/volumes/data", {"params": {"name": "d", "diskSize": 16 * MIB}})["inventory"]
        self.api.post(f"/volumes/{volume['uuid']}/vm-instances/{vm['uuid']}", {"params": {}})
        disk = guest.run("end=100; until d=$(grep -l 32768 /sys/block/vd*/size); do end=$((end-1)); [ $end -gt 0 ] || exit 1; sleep 0.1; done; echo $d | cut -d/ -f4", 60)
        self.assertEqual("on-the-volume", guest.run(f"echo on-the-volume | dd of=/dev/{disk} conv=fsync 2>/dev/null; head -c 13 /dev/{disk}"))
        self.api.delete(f"/volumes/{volume['uuid']}/vm-instances")
        guest.run(f"end=100; while [ -e /sys/block/{disk} ]; do end=$((end-1)); [ $end -gt 0 ] || exit 1; sleep 0.1; done")
        self.api.delete("/volumes/" + volume["uuid"])
        self.api.put(f"/volumes/{volume['uuid']}/actions", {"expungeDataVolume": {}})

    def test_a_fork_is_a_vm_like_any_other(self):
        token = self.agent.run("cat /run/token")
        fork, sibling, *others = self.clone(*NAMES[:4])[0]
        guest = self.guest(fork)
        guest.run("echo before >/root/mark; sync", 60)
        group = self.api.post("/volume-snapshots/group", {"params": {"name": "s", "rootVolumeUuid": fork["rootVolumeUuid"]}})["inventory"]
        guest.run("echo after >/root/mark; sync")
        self.volume_comes_and_goes(fork)
        plain = self.api.clone(fork["uuid"], ["plain"])["inventories"][0]["inventory"]
        checkpoint = self.api.post(f"/vm-instances/{fork['uuid']}/checkpoints", {"params": {"name": "kept", "memory": True}})["inventory"]["uuid"]
        child = self.clone("child", vm=fork)[0][0]
        self.server.stop()
        self.server.start()
        type(self).api = self.server.api()
        forks_of_child = self.clone(*(f"grandchild{i}" for i in range(4)), vm=child)[0]
        late, _ = self.end_of(self.begin_clones(f"/checkpoints/{checkpoint}", [f"late{i}" for i in range(4)]))
        of_checkpoint = [entry["inventory"] for entry in late["inventories"]]
        self.assertEqual([True] * 9, [self.is_fork(vm) for vm in [fork, *forks_of_child, *of_checkpoint]])
        for vm in (child, *forks_of_child, *of_checkpoint):
            self.assertEqual([token, "after", vm["name"]], self.guest(vm).run("cat /run/token /root/mark; hostname", 60).split())
        self.assertEqual("after", self.guest(plain).run("cat /root/mark", 90))
        for vm in (*others, child, forks_of_child[0], of_checkpoint[0]):  # in any order
            self.expunge(vm["uuid"])
        self.api.delete("/checkpoints/" + checkpoint)
        self.api.action(fork["uuid"], "stopVmInstance", type="cold")
        self.api.put(f"/volume-snapshots/group/{group['uuid']}/actions", {"revertVmFromSnapshotGroup": {}})
        self.api.action(fork["uuid"], "startVmInstance")
        self.assertEqual("before", guest.run("cat /root/mark", 90))
        self.assertFalse(self.is_fork(fork))
        self.own_generation_id(fork)
        self.api.delete("/volume-snapshots/group/" + group["uuid"])
        self.expunge(fork["uuid"])
        for vm in (sibling, forks_of_child[1], of_checkpoint[1]):
            self.counts_on(self.guest(vm), 1)

    def test_the_template_goes_when_nobody_needs_it(self):
        seen = []
        self.clones_while(lambda: seen.append(self.template_of_a_call()))  # on a slow machine it goes before the last clone has passed its gate
        self.assertNotEqual([None], seen)
        end = time.monotonic() + 30
        while self.templates() and time.monotonic() < end:
            time.sleep(0.2)
        self.assertEqual([], self.templates())

    def test_a_template_that_dies_costs_no_clone(self):
        clones = self.clones_while(lambda: os.kill(self.template_of_a_call(), signal.SIGKILL))
        for vm in clones:
            self.assertEqual(vm["name"], self.guest(vm).run("hostname", 60))

    # It is alive and does nothing: the first order waits in vain, and no second one does.
    def test_a_template_that_hangs_costs_time_alone(self):
        pid = []

        def stop():
            pid.append(self.template_of_a_call())
            os.kill(pid[0], signal.SIGSTOP)
        try:
            clones = self.clones_while(stop)
        except ApiError as error:
            self.fail(str(error))
        finally:
            if pid and pathlib.Path(f"/proc/{pid[0]}").exists():
                os.kill(pid[0], signal.SIGCONT)
        for vm in clones:
            self.assertEqual(vm["name"], self.guest(vm).run("hostname", 60))

    # One that dies before its guest runs is made again, by itself.
    def test_a_fork_that_dies_costs_no_other_clone(self):
        known = {path.name for path in self.run_directory().iterdir()}
        killed = []

        def kill_one():
            end = time.monotonic() + 60
            while time.monotonic() < end and not killed:
                for directory in self.run_directory().iterdir():
                    if directory.name in known or directory.name.startswith("template-"):
                        continue
                    if pid := self.pid_in(directory):
                        os.kill(pid, signal.SIGKILL)
                        killed.append(directory.name)
                        break
        thread = threading.Thread(target=kill_one)
        thread.start()
        result, _ = self.job(NAMES)
        thread.join()
        missing = sum("error" in entry for entry in result["inventories"])
        self.assertEqual(len(NAMES), result["numberOfClonedVm"] + missing, result)
        self.assertLessEqual(missing, 1)
        self.assertEqual(1 - missing, sum(vm["uuid"] == killed[0] for vm in self.api.rows("/vm-instances")))
        for entry in result["inventories"]:
            if "inventory" in entry:
                self.assertEqual(entry["inventory"]["name"], self.guest(entry["inventory"]).run("hostname", 60))

    def test_a_server_that_dies_meanwhile_leaves_no_template_and_comes_to_an_end(self):
        uuid = self.begin(NAMES)
        self.assertIsNotNone(self.template_of_a_call())
        time.sleep(0.02)
        self.server.stop(how=9)
        self.server.start()
        type(self).api = self.server.api()
        end = time.monotonic() + 120
        while (answer := self.api.send("GET", "/zstack/v1/api-jobs/" + uuid))[0] == 202 and time.monotonic() < end:
            time.sleep(0.1)
        self.assertNotEqual(202, answer[0])
        end = time.monotonic() + 30
        while self.templates() and time.monotonic() < end:
            time.sleep(0.2)
        self.assertEqual([], self.templates())
        for vm in self.api.rows("/vm-instances", "name~=fork%"):
            self.assertEqual(vm["name"], self.guest(vm).run("hostname", 60))


if __name__ == "__main__":
    unittest.main()
