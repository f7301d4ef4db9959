"""Instant clones on real guests: they go on from the source's very instant, each with an identity of its own before its first packet."""
import hashlib
import json
import os
import pathlib
import subprocess
import time
import unittest

from frames import Sniffer
from instants import MIB, PRIVILEGED, COUNT, InstantWorld
from support import Agent, ApiError, World

DAY = 24 * 3600


class Instant(InstantWorld):
    def test_clones_go_on_where_the_source_was_with_an_identity_of_their_own(self):
        count, token = int(self.agent.run(COUNT)), self.agent.run("cat /run/token")
        sniffer = Sniffer() if PRIVILEGED else None
        clones, detail = self.clone("alpha", "beta", "gamma")
        seen = {self.agent.run("cat /etc/machine-id; md5sum </etc/dropbear/dropbear_ed25519_host_key")}
        for vm in clones:
            guest, nic = self.guest(vm), vm["vmNics"][0]
            self.assertEqual("Running", vm["state"])
            self.assertEqual(token, guest.run("cat /run/token", 60))
            self.counts_on(guest, count)
            self.assertEqual(vm["name"], guest.run("hostname"))
            self.assertEqual(vm["uuid"], guest.run("cat /etc/machine-id"))
            self.assertEqual(nic["mac"], guest.run("cat /sys/class/net/eth0/address"))
            self.assertLess(abs(time.time() - int(guest.run("date +%s"))), 5)
            seen.add(guest.run("cat /etc/machine-id; md5sum </etc/dropbear/dropbear_ed25519_host_key"))
            seen.add(guest.run("head -c 16 /dev/urandom | md5sum"))
            if PRIVILEGED:
                self.assertTrue(self.answers(nic["ip"]), f"{vm['name']} does not answer at {nic['ip']}")
            self.assertIn(nic["ip"] + "/", guest.run("ip -4 -o addr show dev eth0"))
        self.assertEqual(7, len(seen), seen)
        self.assertEqual(3, len({self.own_generation_id(vm) for vm in clones}))
        self.assertEqual(token, self.agent.run("cat /run/token"))
        if sniffer:
            self.no_frame_of_the_source(sniffer.close(), clones)
        capture = detail["capture"]
        self.assertEqual(("Running", "memory"), (capture["sourceState"], capture["consistency"]))
        self.assertGreater(capture["pausedMicroseconds"], 0)
        for entry in detail["gate"]:
            changed = {fact["what"] for fact in entry["facts"] if fact["outcome"] == "changed"}
            self.assertLessEqual({"mac", "address", "hostName", "machineId", "sshHostKeys", "clock", "randomPool", "link"}, changed)
        print(f"\n  source paused {capture['pausedMicroseconds'] / 1000:.1f} ms ({capture['liveReason']}), captured in {capture['memoryMicroseconds'] / 1000:.0f} ms; "
              f"running after {[entry['runningMilliseconds'] for entry in detail['gate']]} ms, gate {[entry['gateMilliseconds'] for entry in detail['gate']]} ms")

    def memory_plan(self, vm, **more):
        return self.api.clone(vm["uuid"], ["a", "b"], memory=True, dryRun=True, **more)["plan"]

    def test_a_dry_run_tells_how_the_memory_is_captured_and_what_that_costs(self):
        files = lambda: sorted(str(path) for path in pathlib.Path(self.server.data_dir).rglob("*") if "memory" in path.parts or "primary" in path.parts)  # noqa: E731
        before = self.inventory(), files()
        plan = self.memory_plan(self.source)
        told = plan["memory"]
        self.assertEqual(before, (self.inventory(), files()))
        self.assertEqual("Running", self.api.vm(self.source["uuid"])["state"])
        self.assertEqual(("Running", "disk"), (told["sourceState"], told["place"]))
        self.assertIn("estimate", told["bytesBasis"])
        self.assertIn("memory are captured", plan["capture"])
        self.assertGreater(plan["estimatedMilliseconds"], told["estimatedMilliseconds"])
        begun = time.monotonic()
        clones, detail = self.clone("first", "second")
        took, capture = time.monotonic() - begun, detail["capture"]
        self.assertEqual("live" if capture["live"] else "saved", told["capture"], (told, capture))
        self.assertEqual(told["sourceState"], self.api.vm(self.source["uuid"])["state"])
        print(f"\n  memory: {told['bytesToWrite'] / MIB:.0f} MiB told, {capture['allocatedBytes'] / MIB:.0f} written; {told['estimatedMilliseconds']} ms told for the "
              f"capture, {capture['memoryMicroseconds'] / 1000:.0f} taken; {plan['estimatedMilliseconds']} ms told in all, {took * 1000:.0f} taken")
        self.assertLess(abs(told["bytesToWrite"] - capture["allocatedBytes"]), 0.5 * capture["allocatedBytes"])
        of_clone = self.memory_plan(clones[0])["memory"]
        self.assertEqual("saved", of_clone["capture"])
        self.assertIn("--memory-dir", of_clone["reason"] if capture["live"] else "--memory-dir")
        self.api.action(clones[0]["uuid"], "pauseVmInstance")
        paused = self.memory_plan(clones[0])["memory"]
        self.assertEqual(("saved", "Paused"), (paused["capture"], paused["sourceState"]))
        self.assertIn("is paused", paused["reason"])
        checkpoint = self.api.post(f"/vm-instances/{clones[1]['uuid']}/checkpoints", {"params": {"name": "kept", "memory": True}})["inventory"]["uuid"]
        wish = {"names": ["a"], "memory": True, "dryRun": True}
        kept = self.api.put(f"/checkpoints/{checkpoint}/actions", {"cloneVmInstance": wish})["result"]["plan"]["memory"]
        self.assertEqual(("kept", 0, None), (kept["capture"], kept["bytesToWrite"], kept.get("sourceState")))
        self.api.delete("/checkpoints/" + checkpoint)

    def test_a_source_on_pause_stays_so_and_its_clones_run(self):
        self.api.action(self.source["uuid"], "pauseVmInstance")
        try:
            clones, detail = self.clone("of-paused")
            self.assertEqual("Paused", self.api.vm(self.source["uuid"])["state"])
            self.assertEqual("Paused", detail["capture"]["sourceState"])
            self.counts_on(self.guest(clones[0]), 1)
            self.assertEqual("of-paused", self.guest(clones[0]).run("hostname"))
        finally:
            self.api.action(self.source["uuid"], "resumeVmInstance")
        self.counts_on(self.agent, 1)

    def test_clones_are_vms_like_any_other_for_generations(self):
        token = self.agent.run("cat /run/token")
        first = self.clone("first")[0][0]
        guest = self.guest(first)
        guest.run("echo first >/root/mark; sync", 60)
        volume = self.api.post("/volumes/data", {"params": {"name": "d", "diskSize": 16 * MIB}})["inventory"]
        self.api.post(f"/volumes/{volume['uuid']}/vm-instances/{first['uuid']}", {"params": {}})
        with self.assertRaises(ApiError) as caught:  # the guest uses the volume: it cannot go on without it
            self.job(["x"], vm=first)
        self.assertIn("set full", str(caught.exception))
        self.api.delete(f"/volumes/{volume['uuid']}/vm-instances")
        self.api.delete("/volumes/" + volume["uuid"])
        self.api.put(f"/volumes/{volume['uuid']}/actions", {"expungeDataVolume": {}})
        (second, *_), detail = self.clone("second", vm=first)
        capture = detail["capture"]
        self.assertGreater(capture["pausedMicroseconds"], 0)
        if not capture["live"]:  # userfaultfd protects a private mapping of a file on tmpfs alone
            self.assertIn("the guest stood while its memory was saved", capture["liveReason"])
        self.expunge(first["uuid"])  # in any order
        third = self.clone("third", vm=second)[0][0]
        image = next((pathlib.Path(self.server.data_dir) / "memory").iterdir())
        before = self.digest_of_images()
        self.assertEqual([token, "first", "third"], self.guest(third).run("cat /run/token /root/mark /etc/hostname", 60).split())
        self.assertEqual(before, self.digest_of_images(), "a memory image changed while its clones ran")
        with self.assertRaises(OSError):
            os.open(image / "ram", os.O_WRONLY) if subprocess.run(["lsattr", "-d", image / "ram"], capture_output=True, text=True).stdout[4:5] == "i" else self.skip_immutable()
        self.server.stop()
        self.server.start()
        type(self).api = self.server.api()
        self.assertEqual("Running", self.api.vm(third["uuid"])["state"])
        self.guest(third).run("(sleep 0.2; reboot -f) >/dev/null 2>&1 </dev/null &")  # by the guest itself: its process goes on
        self.wait_for_boot(self.guest(third))
        self.assertEqual("Running", self.api.vm(third["uuid"])["state"])
        self.api.action(second["uuid"], "stopVmInstance", type="cold")
        self.assertEqual("Running", self.api.action(second["uuid"], "startVmInstance")["inventory"]["state"])
        cold = self.guest(second)
        cold.call("guest-ping", 90)
        self.assertEqual("first", cold.run("cat /root/mark"))
        self.own_generation_id(second)
        self.assertNotEqual("0", cold.run("[ -e /run/token ]; echo $?"), "a cold boot has no memory of the source")
        plain = self.api.clone(third["uuid"], ["plain"], strategy="CreateStopped")["inventories"][0]["inventory"]
        self.assertEqual("Stopped", plain["state"])

    def skip_immutable(self):
        raise OSError("this file system has no immutable flag: nothing to try")

    def digest_of_images(self):
        memory = pathlib.Path(self.server.data_dir) / "memory"
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(memory.glob("*/ram"))}

    def test_what_an_instant_clone_has_is_read_back_and_its_agent_is_waited_for(self):
        vm = self.clone("waited", waitFor="agent")[0][0]
        end = time.monotonic() + 60
        while True:
            facts = {fact["identifier"]: fact["state"] for fact in self.api.get(f"/vm-instances/{vm['uuid']}/identity")["facts"]}
            if facts["host-name"] != "pending" or time.monotonic() > end:
                break
            time.sleep(0.5)
        self.assertEqual(("new", "new", "kept"), (facts["host-name"], facts["machine-id"], facts["smbios-uuid"]), facts)

    @unittest.skipUnless(PRIVILEGED, "without an agent a clone needs another NIC on a tap")
    def test_an_agent_that_is_silent_for_a_while(self):
        def silent(seconds):
            self.agent.start(f"sleep 1; kill -STOP $(pidof qemu-ga); sleep {seconds}; kill -CONT $(pidof qemu-ga)")
            time.sleep(2)

        silent(20)
        result, _ = self.job(["deaf"], waitFor="agent", waitForSeconds=3)
        self.assertEqual(0, result["numberOfClonedVm"], result)
        self.assertIn("waitFor 'agent'", json.dumps(result["inventories"][0]["error"]))
        self.agent.call("guest-ping", 60)
        silent(15)
        vm = self.clone("late")[0][0]
        guest, end = self.guest(vm), time.monotonic() + 90
        while (seen := guest.run("hostname; cat /etc/machine-id", 60).split()) != ["late", vm["uuid"]] and time.monotonic() < end:
            time.sleep(0.5)
        self.assertEqual(["late", vm["uuid"]], seen)
        self.agent.call("guest-ping", 60)

    def test_identity_keep_leaves_the_guest_alone_and_its_links_down(self):
        clones, _ = self.clone("kept", identity="keep")
        guest = self.guest(clones[0])
        self.assertEqual("web01", guest.run("hostname", 60))
        self.assertEqual(self.source["vmNics"][0]["mac"], guest.run("cat /sys/class/net/eth0/address"))
        self.assertEqual("0", guest.run("cat /sys/class/net/eth0/carrier"))
        self.assertEqual(("Running", ["disable"]), (clones[0]["state"], [nic["state"] for nic in clones[0]["vmNics"]]))

        def facts():
            report = self.api.get(f"/vm-instances/{clones[0]['uuid']}/identity")
            return {fact["identifier"]: fact for fact in report["facts"]}

        end = time.monotonic() + 60
        while facts()["machine-id"]["state"] != "kept" and time.monotonic() < end:
            time.sleep(0.2)
        nic = self.source["vmNics"][0]
        for name, value in (("mac.0", nic["mac"]), ("ip.0", nic["ip"]), ("host-name", "web01"), ("machine-id", self.source["uuid"]), ("smbios-serial", self.source["uuid"])):
            self.assertEqual(("kept", value), (facts()[name]["state"], facts()[name]["newValue"]), name)
            self.assertTrue(facts()[name]["reason"])
        self.assertEqual({"new"}, {facts()[name]["state"] for name in ("uuid", "name", "vm-generation-id")})
        self.api.action(clones[0]["uuid"], "rebootVmInstance")
        self.wait_for_boot(guest)
        self.assertEqual(clones[0]["vmNics"][0]["mac"], guest.run("cat /sys/class/net/eth0/address", 60))
        self.assertEqual(("new", clones[0]["vmNics"][0]["mac"]), (facts()["mac.0"]["state"], facts()["mac.0"]["newValue"]))

    def test_identity_keep_goes_with_every_way_to_wait_but_for_an_address(self):
        for what in ("running", "agent"):
            clones, _ = self.clone("kept-" + what, identity="keep", waitFor=what)
            self.assertEqual("Running", self.api.vm(clones[0]["uuid"])["state"])

    def test_what_cannot_be_is_refused(self):
        stopped = self.api.clone(self.source["uuid"], ["stopped"], strategy="CreateStopped")["inventories"][0]["inventory"]
        for words, arguments in (("only a Running or Paused", {"vm": stopped}), ("InstantStart", {"strategy": "CreateStopped"}),
                                 ("driverType", {"vmNicParams": [{"l3NetworkUuid": self.source["vmNics"][0]["l3NetworkUuid"], "driverType": "e1000"}]})):
            with self.assertRaises(ApiError) as caught:
                self.job(["no"], **arguments)
            self.assertIn(words, str(caught.exception))

    def test_a_gate_that_cannot_be_passed_is_an_error_entry_and_leaves_nothing(self):
        self.agent.run("mkdir -p /etc/ramet/resume.d; printf '#!/bin/sh\\n[ \"$RAMET_HOST_NAME\" != bad ]\\n' >/etc/ramet/resume.d/choosy; chmod 755 /etc/ramet/resume.d/choosy")
        try:
            result, _ = self.job(["good", "bad"])
            self.assertEqual(1, result["numberOfClonedVm"])
            self.assertEqual("good", result["inventories"][0]["inventory"]["name"])
            self.assertIn("hook: choosy", json.dumps(result["inventories"][1]["error"]))
            self.assertEqual([], self.api.rows("/vm-instances", "name=bad"))
        finally:
            self.agent.run("rm -r /etc/ramet/resume.d")

    def test_cancelled_in_any_phase_it_leaves_nothing_within_two_seconds(self):
        self.agent.run("mkdir -p /etc/ramet/resume.d; printf '#!/bin/sh\\nexec sleep 60\\n' >/etc/ramet/resume.d/slow; chmod 755 /etc/ramet/resume.d/slow")
        try:
            for phase in ("capture", "resume", "gate"):
                with self.subTest(phase=phase):
                    job = self.begin(["a", "b"])
                    self.until(lambda phase=phase, job=job: any(step["name"] == phase for step in self.api.get("/jobs/" + job)["steps"]))
                    begun = time.monotonic()
                    self.api.delete("/jobs/" + job)
                    self.until(lambda job=job: self.api.send("GET", "/zstack/v1/api-jobs/" + job)[0] != 202)
                    took = time.monotonic() - begun
                    self.assertEqual("Canceled", self.api.get("/jobs/" + job)["state"])
                    self.assertEqual([self.source["uuid"]], [vm["uuid"] for vm in self.api.rows("/vm-instances")])
                    self.assert_nothing_left_over()
                    self.counts_on(self.agent, 1)
                    self.assertLess(took, 2)
        finally:
            self.agent.run("rm -r /etc/ramet/resume.d")

    def until(self, condition, patience=60):
        end = time.monotonic() + patience
        while not condition():
            self.assertLess(time.monotonic(), end, "it did not become so in time")
            time.sleep(0.02)

    def silence_agent(self):
        """Ends it, for some 14 seconds in source and clone alike."""
        self.agent.run("mv /etc/ramet/agent /etc/ramet/agent.off; printf '#!/bin/sh\\nexec sleep 14\\n' >/etc/ramet/agent; chmod 755 /etc/ramet/agent")
        self.agent.start("sleep 0.5; kill $(pidof qemu-ga); sleep 13.9; mv /etc/ramet/agent.off /etc/ramet/agent")
        end = time.monotonic() + 20
        try:
            while time.monotonic() < end:
                self.agent.call("guest-ping", 0.4)
                time.sleep(0.05)
        except TimeoutError:  # now it is gone
            pass

    def test_a_guest_without_an_agent_gets_another_nic_and_its_hardware_clock_is_right(self):
        age = 5
        self.silence_agent()
        checkpoint = self.api.post(f"/vm-instances/{self.source['uuid']}/checkpoints", {"params": {"name": "mute", "memory": True}})["inventory"]["uuid"]
        time.sleep(age)
        sniffer = Sniffer() if PRIVILEGED else None
        uuid = self.begin_clones(f"/checkpoints/{checkpoint}", ["mute"])
        result, detail = self.end_of(uuid)
        self.assertEqual(1, result["numberOfClonedVm"], result)
        vm = result["inventories"][0]["inventory"]
        facts = {fact["what"]: fact for fact in detail["gate"][0]["facts"]}
        self.assertIn("by another NIC", facts["mac"]["detail"])
        guest, nic = self.guest(vm), vm["vmNics"][0]
        guest.call("guest-ping", 60)  # it comes back in source and clone alike
        self.assertEqual(nic["mac"], guest.run("cat /sys/class/net/eth*/address"))
        if PRIVILEGED:
            self.assertTrue(self.answers(nic["ip"]), f"it does not answer at {nic['ip']}")
            self.no_frame_of_the_source(sniffer.close(), [vm])
        # As right as the source's, which an agent has set to whole seconds, and late by what that took.
        hardware_clock = "cat /sys/class/rtc/rtc0/since_epoch"
        self.agent.call("guest-ping", 60)
        before = int(self.agent.run(hardware_clock, 60))
        hardware, system = (int(word) for word in guest.run(hardware_clock + "; date +%s").split())
        self.assertLessEqual(before, hardware)
        self.assertLessEqual(hardware, int(self.agent.run(hardware_clock, 60)))
        self.assertLess(abs(time.time() - before), age)
        self.assertGreaterEqual(time.time() - system, age, "the guest's own clock is right: the capture was not old enough to tell anything")
        self.counts_on(guest, 1)
        self.agent.call("guest-ping", 60)
        self.api.delete("/checkpoints/" + checkpoint)

    def test_a_first_boot_that_goes_on_gives_no_name_back(self):
        """As cloud-init does it, which was told name and machine-id before the capture, and uses them after."""
        self.agent.run("mkdir /run/cloud-init")
        self.agent.start("name=$(hostname) id=$(cat /etc/machine-id); while [ ! -e /run/go ]; do sleep 0.1; done; "
                         "hostname $name; echo $name >/etc/hostname; echo $id >/etc/machine-id; touch /run/cloud-init/result.json")
        try:
            (clone,), detail = self.clone("booting")
            (child,), _ = self.clone("child", vm=clone)
        finally:
            self.agent.run("touch /run/go; while [ ! -e /run/cloud-init/result.json ]; do sleep 0.1; done; rm -rf /run/cloud-init /run/go")
        self.assertIn("firstBoot", {fact["what"] for fact in detail["gate"][0]["facts"]})
        for vm in (clone, child):
            guest = self.guest(vm)
            guest.run("touch /run/go", 60)
            ended = "hostname; cat /etc/hostname /etc/machine-id; [ -e /run/ramet-first-boot ] || echo ended"
            self.until(lambda: [vm["name"]] * 2 + [vm["uuid"], "ended"] == guest.run(ended, 60).split())

    def agent_may_set_the_clock(self):
        try:
            self.agent.call("guest-set-time", time=time.time_ns())
            return True
        except RuntimeError:
            return False

    def test_a_clock_that_the_agent_may_not_set_is_right_all_the_same(self):
        self.agent.start("sed -i 's/exec qemu-ga/& -b guest-set-time/' /etc/ramet/agent; sleep 0.3; kill $(pidof qemu-ga)")
        self.until(lambda: not self.agent_may_set_the_clock())
        try:
            self.agent.run(f"date -u -s @$(($(date +%s)-{DAY}))")  # as if the capture were a day old
            clones, detail = self.clone("by-date")
            asked = time.time()
            told = self.guest(clones[0]).call("guest-get-time", 60) / 1e9
            self.assertLess(max(asked - told, told - time.time()), 0.5)
            self.assertIn("by date", {fact["what"]: fact["detail"] for fact in detail["gate"][0]["facts"]}["clock"])
        finally:
            self.agent.start("sed -i 's/ -b guest-set-time//g' /etc/ramet/agent; sleep 0.3; kill $(pidof qemu-ga)")
            self.until(self.agent_may_set_the_clock)


@unittest.skipUnless(os.geteuid() == 0, "a file system of its own needs root")
class Full(World):
    """The directory for memory images is on a file system too small for one."""

    @classmethod
    def setUpClass(cls):
        memory = pathlib.Path("/tmp") / f"ramet-e2e-memory-{os.getpid()}"
        memory.mkdir()
        cls.addClassCleanup(memory.rmdir)
        cls.arguments = ("--memory-dir", str(memory / "images"))
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "ramet-e2e", memory], check=True)
        cls.addClassCleanup(subprocess.run, ["umount", memory], check=True)
        super().setUpClass()

    def test_a_full_disk_is_an_error_that_says_so_and_the_source_runs_on(self):
        source = self.api.create_vm("web01", self.image["uuid"])
        agent = Agent(self.server.data_dir, source["uuid"])
        agent.call("guest-ping")
        with self.assertRaises(ApiError) as caught:
            self.api.clone(source["uuid"], ["no"], memory=True)
        self.assertIn("full", str(caught.exception))
        agent.run("echo still here")
        self.assertEqual("Running", self.api.vm(source["uuid"])["state"])
        self.assert_nothing_left_over()
        self.expunge(source["uuid"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
