"""CloneVmInstance on real guests: every field of the public page has its effect."""
import json
import subprocess
import time
import unittest

from support import RAMET, TINY, Agent, Api, World

MIB = 1 << 20


class Clone(World):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = cls.api.create_vm("web01", cls.image["uuid"])
        cls.agent = Agent(cls.server.data_dir, cls.source["uuid"])
        cls.agent.call("guest-ping")
        cls.agent.run("echo original > /root/note; sync")

    def clone(self, *names, **more):
        result = self.api.clone(self.source["uuid"], list(names), **more)
        self.assertEqual(len(names), len(result["inventories"]))
        return [entry["inventory"] for entry in result["inventories"]]

    def tearDown(self):
        for vm in self.api.rows("/vm-instances"):
            if vm["uuid"] != self.source["uuid"]:
                self.expunge(vm["uuid"])
        self.assert_nothing_left_over()

    def test_clones_of_a_running_vm_boot_with_the_source_s_files_and_an_identity_of_their_own(self):
        clones = self.clone("alpha", "beta")
        self.assertEqual(["alpha", "beta"], [vm["name"] for vm in clones])
        seen = set()
        for vm in clones:
            self.assertEqual("Running", vm["state"])
            guest = Agent(self.server.data_dir, vm["uuid"])
            guest.call("guest-ping", 90)
            end = time.monotonic() + 60
            while guest.run("hostname") != vm["name"] and time.monotonic() < end:
                time.sleep(0.2)
            self.assertEqual(vm["name"], guest.run("hostname"))
            self.assertEqual("original", guest.run("cat /root/note"))
            self.assertEqual(vm["vmNics"][0]["mac"], guest.run("cat /sys/class/net/eth0/address"))
            self.assertIn(vm["vmNics"][0]["ip"] + "/", guest.run("ip -4 -o addr show dev eth0"))
            seen |= {guest.run("cat /etc/machine-id"), vm["vmNics"][0]["mac"], vm["vmNics"][0]["ip"]}
        self.assertEqual(6, len(seen))
        self.assertEqual("Running", self.api.vm(self.source["uuid"])["state"])
        self.assertEqual("original", self.agent.run("cat /root/note"))

    def test_what_a_clone_writes_is_seen_by_nobody_else(self):
        first, second = self.clone("one", "two")
        guest = Agent(self.server.data_dir, first["uuid"])
        guest.run("echo changed > /root/note; sync", 90)
        other = Agent(self.server.data_dir, second["uuid"])
        self.assertEqual("original", other.run("cat /root/note", 90))
        self.assertEqual("original", self.agent.run("cat /root/note"))

    def test_strategies_lead_to_their_states(self):
        for strategy, state in (("CreateStopped", "Stopped"), ("JustCreate", "Created"), ("createstopped", "Stopped")):
            vm = self.clone("s-" + strategy, strategy=strategy)[0]
            self.assertEqual(state, vm["state"])
            self.assertNotIn("hostUuid", vm)
        created = next(vm for vm in self.api.rows("/vm-instances", "state=Created"))
        self.assertEqual("Running", self.api.action(created["uuid"], "startVmInstance")["inventory"]["state"])

    def test_sources_paused_and_stopped_can_be_cloned_and_keep_their_state(self):
        stopped = self.clone("stopped-source", strategy="CreateStopped")[0]
        self.api.clone(stopped["uuid"], ["of-stopped"], strategy="CreateStopped")
        self.assertEqual("Stopped", self.api.vm(stopped["uuid"])["state"])
        self.api.action(self.source["uuid"], "pauseVmInstance")
        try:
            self.clone("of-paused", strategy="CreateStopped")
            self.assertEqual("Paused", self.api.vm(self.source["uuid"])["state"])
        finally:
            self.api.action(self.source["uuid"], "resumeVmInstance")
        self.assertEqual("original", self.agent.run("cat /root/note"))

    def test_full_clones_the_data_volumes_and_without_it_none(self):
        volume = self.api.post("/volumes/data", {"params": {"name": "d", "diskSize": 64 * MIB}})["inventory"]
        self.api.post(f"/volumes/{volume['uuid']}/vm-instances/{self.source['uuid']}", {"params": {}})
        try:
            find = f"for b in /sys/block/vd*; do [ \"$(cat $b/serial)\" = {volume['uuid'][:20]} ] && echo /dev/${{b##*/}}; done; true"
            end = time.monotonic() + 10
            while not (device := self.agent.run(find)) and time.monotonic() < end:
                time.sleep(0.1)
            self.agent.run(f"echo payload | dd of={device} bs=512 conv=sync 2>/dev/null; sync")
            with_data = self.clone("with", full=True)[0]
            self.assertEqual(["Data", "Root"], sorted(v["type"] for v in with_data["allVolumes"]))
            data = next(v for v in with_data["allVolumes"] if v["type"] == "Data")
            guest = Agent(self.server.data_dir, with_data["uuid"])
            self.assertTrue(guest.run(f"for b in /sys/block/vd*; do [ \"$(cat $b/serial)\" = {data['uuid'][:20]} ] && head -c 7 /dev/${{b##*/}}; done; true", 90).startswith("payload"))
            self.assertEqual(["Root"], [v["type"] for v in self.clone("without", strategy="CreateStopped")[0]["allVolumes"]])
            self.api.delete("/volumes/" + self.detach_and_forget(with_data, data))
        finally:
            self.api.delete(f"/volumes/{volume['uuid']}/vm-instances")
            self.api.delete("/volumes/" + volume["uuid"])
            self.api.put(f"/volumes/{volume['uuid']}/actions", {"expungeDataVolume": {}})

    def detach_and_forget(self, vm, data):
        self.api.action(vm["uuid"], "stopVmInstance", type="cold")
        self.api.delete(f"/volumes/{data['uuid']}/vm-instances")
        self.api.delete("/volumes/" + data["uuid"])
        self.api.put(f"/volumes/{data['uuid']}/actions", {"expungeDataVolume": {}})
        return data["uuid"]

    def test_another_storage_and_thick_provisioning_mean_real_copies(self):
        zone = self.api.rows("/zones")[0]["uuid"]
        other = self.api.post("/primary-storage/local-storage", {"params": {"name": "second", "url": self.directory + "/second", "zoneUuid": zone}})["inventory"]
        moved = self.clone("moved", strategy="CreateStopped", primaryStorageUuidForRootVolume=other["uuid"])[0]
        volume = moved["allVolumes"][0]
        self.assertEqual(other["uuid"], volume["primaryStorageUuid"])
        self.assertTrue(volume["installPath"].startswith(self.directory + "/second/"))
        facts = json.loads(subprocess.run(["qemu-img", "info", "--output=json", "-f", "qcow2", volume["installPath"]], check=True, capture_output=True, text=True).stdout)
        self.assertNotIn("backing-filename", facts)
        thick = self.clone("thick", strategy="CreateStopped", rootVolumeSystemTags=["volumeProvisioningStrategy::ThickProvisioning"])[0]["allVolumes"][0]
        facts = json.loads(subprocess.run(["qemu-img", "info", "--output=json", "-f", "qcow2", thick["installPath"]], check=True, capture_output=True, text=True).stdout)
        self.assertGreaterEqual(facts["actual-size"], thick["size"])
        for name in ("moved", "thick"):
            self.expunge(self.api.rows("/vm-instances", "name=" + name)[0]["uuid"])
        self.api.delete("/primary-storage/" + other["uuid"])

    def test_nic_parameters_in_all_three_shapes(self):
        nic = self.source["vmNics"][0]
        param = {"l3NetworkUuid": nic["l3NetworkUuid"], "state": "disable", "driverType": "e1000"}
        for shape, mac in (([{**param, "mac": "fa:00:00:00:00:01"}], "fa:00:00:00:00:01"), ([json.dumps({**param, "mac": "fa:00:00:00:00:02"})], "fa:00:00:00:00:02"),
                           (json.dumps([{**param, "mac": "fa:00:00:00:00:03"}]), "fa:00:00:00:00:03")):
            made = self.clone("nic-" + mac[-1], strategy="CreateStopped", vmNicParams=shape)[0]["vmNics"][0]
            self.assertEqual((mac, "disable", "e1000"), (made["mac"], made["state"], made["driverType"]))

    def test_tags_in_both_placements(self):
        path = f"/vm-instances/{self.source['uuid']}/actions"
        self.api.put(path, {"cloneVmInstance": {"names": ["in"], "strategy": "CreateStopped", "userTags": ["inner"]}})
        self.api.put(path, {"cloneVmInstance": {"names": ["out"], "strategy": "CreateStopped", "userTags": ["inner"]}, "systemTags": [], "userTags": ["outer"]})
        tags = {self.api.vm(tag["resourceUuid"])["name"]: tag["tag"] for tag in self.api.rows("/user-tags") if self.api.vm(tag["resourceUuid"])}
        self.assertEqual({"in": "inner", "out": "outer"}, tags)

    def test_inherits_what_the_contract_says(self):
        self.api.action(self.source["uuid"], "updateVmInstance", description="a description")
        vm = self.clone("heir", strategy="CreateStopped")[0]
        for field in ("cpuNum", "memorySize", "platform", "zoneUuid", "imageUuid", "description", "defaultL3NetworkUuid", "architecture", "hypervisorType", "type"):
            self.assertEqual(self.api.vm(self.source["uuid"]).get(field), vm.get(field), field)
        self.assertEqual("LastHostPreferredAllocatorStrategy", vm["allocatorStrategy"])

    def test_the_pause_of_the_running_source_is_in_the_job_s_detail(self):
        self.agent.run("echo more >> /root/more; sync")
        job = "%032x" % (0x4A0 << 64 | 0x8 << 60 | int(time.time()))
        status, text, _ = self.api.send("PUT", f"/zstack/v1/vm-instances/{self.source['uuid']}/actions", {"cloneVmInstance": {"names": ["p"], "strategy": "CreateStopped"}}, {"X-Job-UUID": job})
        self.assertEqual(202, status)
        self.api.call("GET", "/api-jobs/" + job)
        detail = self.api.get("/jobs/" + job)
        capture = detail["detail"]["capture"]
        self.assertEqual("Running", capture["sourceState"])
        self.assertGreater(capture["pausedMicroseconds"], 0)
        status, text, _ = self.api.send("PUT", f"/zstack/v1/vm-instances/{self.source['uuid']}/actions", {"cloneVmInstance": {"names": ["p"]}}, {"X-Job-UUID": job})
        self.assertEqual((400, True), (status, "Duplicate job uuid" in text))

    def test_a_clone_of_a_clone_outlives_its_source(self):
        first = self.clone("first", strategy="CreateStopped")[0]
        second = self.api.clone(first["uuid"], ["second"], strategy="CreateStopped")["inventories"][0]["inventory"]
        self.expunge(first["uuid"])
        self.api.action(second["uuid"], "startVmInstance")
        self.assertEqual("original", Agent(self.server.data_dir, second["uuid"]).run("cat /root/note", 90))

    def test_command_line_clones_with_expansion(self):
        import os
        environment = dict(os.environ, RAMET_SERVER=self.server.url, RAMET_PASSWORD=self.server.password, XDG_CONFIG_HOME=self.directory)
        done = subprocess.run([RAMET, "-o", "json", "clone", "web01", "cli-{08..10}", "--strategy", "CreateStopped"], env=environment, capture_output=True, text=True, timeout=60)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(3, json.loads(done.stdout)["result"]["numberOfClonedVm"])
        listed = subprocess.run([RAMET, "vm", "list", "-q", "name~=cli-%"], env=environment, capture_output=True, text=True, timeout=60).stdout
        for name in ("cli-08", "cli-09", "cli-10"):
            self.assertIn(name, listed)
        missing = subprocess.run([RAMET, "clone", "nobody", "x"], env=environment, capture_output=True, text=True, timeout=60)
        self.assertEqual((1, True), (missing.returncode, "there is no vm named 'nobody'" in missing.stderr))


if __name__ == "__main__":
    unittest.main(verbosity=2)
