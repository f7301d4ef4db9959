"""Every identifier of a clone is its own, and the report says what was seen in the guest."""
import json
import os
import subprocess
import time
import unittest

from support import RAMET, Agent, World, ApiError

CLONES = 4
# One value of each per clone, all distinct.
DISTINCT = ("uuid", "name", "mac.0", "ip.0", "smbios-uuid", "smbios-serial", "vm-generation-id", "instance-id", "host-name", "machine-id",
            "ssh-host-key.ed25519", "ssh-host-key.ecdsa")


class Identity(World):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = cls.api.create_vm("web01", cls.image["uuid"])
        cls.seen_source = cls.report_when(cls.source["uuid"], "ssh-host-key.ed25519")

    def tearDown(self):
        for vm in self.api.rows("/vm-instances"):
            if vm["uuid"] != self.source["uuid"]:
                self.expunge(vm["uuid"])
        self.assert_nothing_left_over()

    @classmethod
    def report(cls, vm):
        answer = cls.api.get(f"/vm-instances/{vm}/identity")
        return answer, {fact["identifier"]: fact for fact in answer["facts"]}

    @classmethod
    def report_when(cls, vm, *identifiers, patience=90):
        """The report once these are no longer pending."""
        end = time.monotonic() + patience
        while True:
            facts = cls.report(vm)[1]
            if all(facts.get(name, {"state": "pending"})["state"] != "pending" for name in identifiers):
                return facts
            if time.monotonic() > end:
                raise AssertionError(f"still pending: {json.dumps(facts, indent=1)}")
            time.sleep(0.2)

    def clone(self, *names, **more):
        return [entry["inventory"] for entry in self.api.clone(self.source["uuid"], list(names), **more)["inventories"]]

    def test_four_clones_have_four_values_of_each_identifier_and_the_guests_show_them(self):
        clones = self.clone(*(f"c{index}" for index in range(CLONES)))
        values = {name: set() for name in DISTINCT}
        for vm in clones:
            facts = self.report_when(vm["uuid"], *DISTINCT)
            for name in DISTINCT:
                self.assertEqual("new", facts[name]["state"], facts[name])
                values[name].add(facts[name]["newValue"])
                self.assertEqual(self.seen_source[name]["newValue"], facts[name]["oldValue"], name)
            guest = Agent(self.server.data_dir, vm["uuid"])
            self.assertEqual(guest.run("cat /etc/machine-id"), facts["machine-id"]["newValue"])
            self.assertEqual(guest.run("hostname"), facts["host-name"]["newValue"])
            self.assertEqual(guest.run("cat /sys/class/dmi/id/product_uuid"), facts["smbios-uuid"]["newValue"])
            self.assertIn(facts["ssh-host-key.ed25519"]["newValue"], guest.run("dropbearkey -y -f /etc/dropbear/dropbear_ed25519_host_key"))
            self.assertIn(facts["ip.0"]["newValue"] + "/", guest.run("ip -4 -o addr show dev eth0"))
            self.assertEqual("seed", facts["machine-id"]["means"])
        for name, seen in values.items():
            self.assertEqual(CLONES, len(seen), f"{name}: {seen}")
            self.assertNotIn(self.seen_source[name]["newValue"], seen)

    def test_keep_changes_nothing_in_the_guest_and_leaves_its_link_down(self):
        vm = self.clone("twin", identity="keep")[0]
        self.assertEqual(["disable"], [nic["state"] for nic in vm["vmNics"]])
        guest = Agent(self.server.data_dir, vm["uuid"])
        end = time.monotonic() + 90
        while True:
            answer, facts = self.report(vm["uuid"])
            if "reason" not in facts["smbios-uuid"]:  # the guest has been read
                break
            self.assertLess(time.monotonic(), end, facts)
            time.sleep(0.2)
        self.assertEqual("keep", answer["mode"])
        for name in ("machine-id", "host-name", "instance-id", "ssh-host-key.ed25519", "ssh-host-key.ecdsa"):
            self.assertEqual("kept", facts[name]["state"], facts[name])
            self.assertEqual(self.seen_source[name]["newValue"], facts[name]["newValue"])
            self.assertIn("keep", facts[name]["reason"])
        for name in ("uuid", "mac.0", "smbios-uuid", "vm-generation-id"):
            self.assertEqual("new", facts[name]["state"], facts[name])
        self.assertEqual("web01", guest.run("hostname", 90))
        self.assertEqual(self.seen_source["machine-id"]["newValue"], guest.run("cat /etc/machine-id"))
        self.assertEqual("0", guest.run("cat /sys/class/net/eth0/carrier"))
        self.assertEqual("", guest.run("ip -4 -o addr show scope global"))
        nic = {"l3NetworkUuid": self.source["vmNics"][0]["l3NetworkUuid"], "state": "enable"}
        self.refused("SYS.1007", "keep", "link", call=lambda: self.clone("x", identity="keep", vmNicParams=[nic]))

    def test_without_a_running_guest_the_report_says_what_it_waits_for(self):
        vm = self.clone("off", strategy="CreateStopped")[0]
        facts = self.report(vm["uuid"])[1]
        for name in ("machine-id", "host-name", "ssh-host-key.ed25519", "mac.0"):
            self.assertEqual("pending", facts[name]["state"], facts[name])
            self.assertIn("off", facts[name]["reason"])
        self.assertEqual("new", facts["uuid"]["state"])
        with self.assertRaises(ApiError):
            self.report("f" * 32)

    def test_the_clone_job_s_detail_and_the_command_line_show_it(self):
        job = "%032x" % (0x1D0 << 64 | 0x8 << 60 | int(time.time()))
        self.api.send("PUT", f"/zstack/v1/vm-instances/{self.source['uuid']}/actions", {"cloneVmInstance": {"names": ["j"], "strategy": "CreateStopped"}}, {"X-Job-UUID": job})
        self.api.call("GET", "/api-jobs/" + job)
        reports = self.api.get("/jobs/" + job)["detail"]["identity"]
        self.assertEqual(["j"], [report["name"] for report in reports])
        self.assertIn("machine-id", {fact["identifier"] for fact in reports[0]["facts"]})
        environment = dict(os.environ, RAMET_SERVER=self.server.url, RAMET_PASSWORD=self.server.password, XDG_CONFIG_HOME=self.directory)
        shown = subprocess.run([RAMET, "vm", "identity", "web01"], env=environment, capture_output=True, text=True, timeout=60)
        self.assertEqual(0, shown.returncode, shown.stderr)
        self.assertIn(self.seen_source["ssh-host-key.ed25519"]["newValue"], shown.stdout)
        shown = subprocess.run([RAMET, "-o", "json", "vm", "identity", "j"], env=environment, capture_output=True, text=True, timeout=60)
        self.assertEqual(self.source["uuid"], json.loads(shown.stdout)["sourceUuid"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
