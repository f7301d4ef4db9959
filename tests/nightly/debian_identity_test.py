"""Clones of a Debian guest that nobody generalised: systemd, cloud-init, OpenSSH. RAMET_CLONES sets how many (20)."""
import json
import os
import pathlib
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from firmware_test import ask_tpm, define, read, write  # noqa: E402
from support import Agent, World  # noqa: E402

DEBIAN = pathlib.Path(os.environ.get("RAMET_DEBIAN_IMAGE", ROOT / "build/guest/debian.qcow2"))
CLONES = int(os.environ.get("RAMET_CLONES", "20"))
AT_ONCE = max(1, len(os.sched_getaffinity(0)))  # a guest under emulation takes a core and 650 MB
PATIENCE = 1800  # a guest takes 40 s of a core to its agent, and a machine may have more to do
DISTINCT = ("uuid", "name", "mac.0", "ip.0", "smbios-uuid", "smbios-serial", "vm-generation-id", "instance-id", "host-name", "machine-id",
            "dhcp-duid", "ssh-host-key.rsa", "ssh-host-key.ecdsa", "ssh-host-key.ed25519")


class Debian(World):
    @classmethod
    def setUpClass(cls):
        if not DEBIAN.exists():
            raise unittest.SkipTest(f"{DEBIAN} is not there; build it with ./dev guest debian")
        super().setUpClass()
        cls.debian = cls.api.add_image(DEBIAN, "debian")

    def tearDown(self):
        for vm in self.api.rows("/vm-instances"):
            self.expunge(vm["uuid"])
        self.assert_nothing_left_over()

    def create(self, name, *tags):
        return self.api.create_vm(name, self.debian["uuid"], memorySize=512 << 20, systemTags=list(tags))

    def facts(self, vm):
        return {fact["identifier"]: fact for fact in self.api.get(f"/vm-instances/{vm['uuid']}/identity")["facts"]}

    def settled(self, vm):
        end = time.monotonic() + PATIENCE
        while True:
            facts = self.facts(vm)
            if all(facts.get(name, {"state": "pending"})["state"] != "pending" for name in DISTINCT):
                return facts
            self.assertLess(time.monotonic(), end, json.dumps(facts, indent=1))
            time.sleep(1)

    def test_each_clone_has_its_own_value_of_every_identifier(self):
        source = self.create("debian")
        of_source = self.settled(source)
        names = [f"clone-{index:02}" for index in range(CLONES)]
        entries = self.api.clone(source["uuid"], names, strategy="CreateStopped")["inventories"]
        clones = [entry["inventory"] for entry in entries]
        self.api.action(source["uuid"], "stopVmInstance", type="cold")
        values = {name: {of_source[name]["newValue"]} for name in DISTINCT}
        leases, by = set(), set()
        for first in range(0, CLONES, AT_ONCE):
            batch = clones[first:first + AT_ONCE]
            for vm in batch:
                self.api.action(vm["uuid"], "startVmInstance")
            for vm in batch:
                facts = self.settled(vm)
                guest = Agent(self.server.data_dir, vm["uuid"])
                for name in DISTINCT:
                    self.assertEqual("new", facts[name]["state"], facts[name])
                    self.assertEqual(of_source[name]["newValue"], facts[name]["oldValue"], name)
                    values[name].add(facts[name]["newValue"])
                by.add(tuple(facts[name]["means"] for name in ("host-name", "machine-id", "ssh-host-key.rsa")))
                self.assertEqual(facts["machine-id"]["newValue"], guest.run("cat /etc/machine-id"))
                self.assertEqual(facts["host-name"]["newValue"], guest.run("hostname"))
                self.assertEqual(facts["instance-id"]["newValue"], guest.run("cat /var/lib/cloud/data/instance-id"))
                self.assertIn(facts["ssh-host-key.ed25519"]["newValue"], guest.run("ssh-keyscan -t ed25519 127.0.0.1 2>/dev/null | ssh-keygen -lf -"))
                self.assertIn(facts["dhcp-duid"]["newValue"], guest.run("sed -n 's/^CLIENTID=//p' /run/systemd/netif/leases/*"))
                leases.add(guest.run("sed -n 's/^ADDRESS=//p' /run/systemd/netif/leases/*"))
            for vm in batch:
                self.api.action(vm["uuid"], "stopVmInstance", type="cold")
            print(f"{first + len(batch)} clones: {min(map(len, values.values())) - 1} distinct values of each of {len(values)} identifiers", flush=True)
        for name, seen in values.items():
            self.assertEqual(CLONES + 1, len(seen), f"{name}: {seen}")
        self.assertEqual(CLONES, len(leases), leases)
        print("set by (host name, machine-id, SSH keys):", sorted(by))

    def test_a_uefi_guest_with_a_tpm_is_cloned_with_both(self):
        source = self.create("secure", "bootMode::UEFI", "tpm::2.0")
        self.settled(source)
        guest = Agent(self.server.data_dir, source["uuid"])
        self.assertEqual("efi", guest.run("[ -d /sys/firmware/efi ] && echo efi; true"))
        self.assertEqual(0, ask_tpm(guest, define(8))[0])
        self.assertEqual(0, ask_tpm(guest, write(b"a secret"))[0])
        copied, fresh = (self.api.clone(source["uuid"], [policy], systemTags=["tpmPolicy::" + policy])["inventories"][0]["inventory"] for policy in ("copy", "new"))
        self.api.action(source["uuid"], "stopVmInstance", type="cold")
        for vm, expected in ((copied, True), (fresh, False)):
            self.settled(vm)
            guest = Agent(self.server.data_dir, vm["uuid"])
            self.assertEqual("efi", guest.run("[ -d /sys/firmware/efi ] && echo efi; true"))
            code, answer = ask_tpm(guest, read(8))
            self.assertEqual((expected, expected), (code == 0, b"a secret" in answer))


if __name__ == "__main__":
    unittest.main(verbosity=2)
