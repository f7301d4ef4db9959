"""Leases: a clone with an end is warned of, can be extended, and is gone with everything at its end, also when the server was away then."""
import os
import subprocess
import time
import unittest

from support import RAMET, ApiError, World

MIB = 1 << 20


class Leases(World):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = cls.api.create_vm("web01", cls.image["uuid"], strategy="CreateStopped")

    def clone(self, name, **more):
        return self.api.clone(self.source["uuid"], [name], **{"strategy": "CreateStopped", **more})["inventories"][0]["inventory"]

    def await_gone(self, uuid, patience):
        """Seconds until the VM is being removed, and until it is gone."""
        begin, begun = time.monotonic(), None
        while time.monotonic() < begin + patience:
            vm = self.api.vm(uuid)
            if (vm is None or vm["state"] == "Expunging") and begun is None:
                begun = time.monotonic() - begin
            if vm is None:
                return begun, time.monotonic() - begin
            time.sleep(0.05)
        self.fail(f"VM {uuid} is still there after {patience} s: {self.api.vm(uuid)}")

    def events(self, name, uuid):
        return self.api.rows("/events", "name=" + name, "resourceUuid=" + uuid)

    def command(self, *arguments):
        environment = dict(os.environ, RAMET_SERVER=self.server.url, RAMET_PASSWORD=self.server.password, XDG_CONFIG_HOME=self.directory)
        return subprocess.run([RAMET, *arguments], env=environment, capture_output=True, text=True, timeout=60)

    def restart(self, **environment):
        self.server.stop()
        self.server.start(**environment)
        type(self).api = self.server.api()

    def test_a_running_clone_is_warned_of_and_gone_with_everything_within_two_seconds_of_its_end(self):
        begin = time.monotonic()
        vm = self.clone("short", strategy="InstantStart", expiresIn=4)
        self.assertIn("leaseEndDate", vm)
        self.assertEqual("Running", vm["state"])
        end = begin + 4
        while not self.events("lease-warning", vm["uuid"]) and time.monotonic() < end:
            time.sleep(0.05)
        warning = self.events("lease-warning", vm["uuid"])
        self.assertEqual(["warning"], [event["severity"] for event in warning])
        self.assertIn("'short' ends at", warning[0]["message"])
        self.assertIsNotNone(self.api.vm(vm["uuid"]))
        waited = time.monotonic()
        begun, gone = self.await_gone(vm["uuid"], 30)
        self.assertGreaterEqual(waited + begun, end - 0.1, "it was destroyed before its time")
        self.assertLessEqual(waited + begun, end + 2.5)  # the lease begins within the call, some time after `begin`
        self.assertEqual(1, len(self.events("lease-ended", vm["uuid"])))
        self.assert_nothing_left_over()

    def test_an_extended_lease_is_kept_and_one_taken_away_never_ends(self):
        extended, freed = self.clone("extended", expiresIn=3), self.clone("freed", expiresIn=3)
        longer = self.api.action(extended["uuid"], "extendVmInstanceLease", expiresIn=3600)["inventory"]
        self.assertNotEqual(extended["leaseEndDate"], longer["leaseEndDate"])
        self.assertNotIn("leaseEndDate", self.api.action(freed["uuid"], "setVmInstanceLease")["inventory"])
        time.sleep(4)
        for vm in (extended, freed):
            self.assertEqual("Stopped", self.api.vm(vm["uuid"])["state"])
        with self.assertRaises(ApiError):
            self.api.action(freed["uuid"], "extendVmInstanceLease", expiresIn=0)
        self.expunge(freed["uuid"])
        self.api.action(extended["uuid"], "setVmInstanceLease", expiresIn=1)
        self.await_gone(extended["uuid"], 15)
        self.assert_nothing_left_over()

    def test_command_line_shows_and_extends_leases(self):
        made = self.command("clone", "web01", "leased", "--strategy", "CreateStopped", "--expires-in", "1h")
        self.assertEqual(0, made.returncode, made.stderr)
        before = self.api.rows("/vm-instances", "name=leased")[0]
        listed = self.command("vm", "list")
        self.assertIn("LEASE ENDS", listed.stdout)
        self.assertIn(before["leaseEndDate"], listed.stdout)
        done = self.command("vm", "extend", "leased", "2h")
        self.assertEqual(0, done.returncode, done.stderr)
        after = self.api.rows("/vm-instances", "name=leased")[0]["leaseEndDate"]
        parse = lambda text: time.mktime(time.strptime(text, "%b %d, %Y %I:%M:%S %p"))  # noqa: E731
        self.assertEqual(7200, parse(after) - parse(before["leaseEndDate"]))
        self.assertIn("90s, 30m, 2h", self.command("vm", "extend", "leased", "soon").stderr)
        self.assertEqual(0, self.command("vm", "lease", "leased", "none").returncode)
        self.assertNotIn("leaseEndDate", self.api.rows("/vm-instances", "name=leased")[0])
        self.expunge(before["uuid"])

    def test_a_lease_that_ends_while_the_server_is_away_ends_at_the_next_start(self):
        vm = self.clone("away", expiresIn=2)
        self.server.stop()
        time.sleep(2.5)
        self.server.start()
        type(self).api = self.server.api()
        begun, _ = self.await_gone(vm["uuid"], 15)
        self.assertLessEqual(begun, 2)
        self.assert_nothing_left_over()

    def test_volumes_cloned_with_the_vm_go_with_it_and_one_attached_later_stays(self):
        volumes = [self.api.post("/volumes/data", {"params": {"name": name, "diskSize": 16 * MIB}})["inventory"] for name in ("cloned", "later")]
        self.api.post(f"/volumes/{volumes[0]['uuid']}/vm-instances/{self.source['uuid']}", {"params": {}})
        vm = self.clone("full", full=True, expiresIn=3600)
        self.assertEqual(["Data", "Root"], sorted(volume["type"] for volume in vm["allVolumes"]))
        self.api.post(f"/volumes/{volumes[1]['uuid']}/vm-instances/{vm['uuid']}", {"params": {}})
        self.api.action(vm["uuid"], "setVmInstanceLease", expiresIn=1)
        self.await_gone(vm["uuid"], 15)
        self.api.delete(f"/volumes/{volumes[0]['uuid']}/vm-instances")
        self.assertEqual({"cloned", "later"}, {volume["name"] for volume in self.api.rows("/volumes", "type=Data")})
        for volume in volumes:
            self.api.delete("/volumes/" + volume["uuid"])
            self.api.put(f"/volumes/{volume['uuid']}/actions", {"expungeDataVolume": {}})
        self.assert_nothing_left_over()

    def test_a_server_killed_in_the_middle_of_an_expiry_goes_on_with_it(self):
        self.restart(RAMET_CRASH_POINT="lease-expiry-begun")
        vm = self.clone("killed", expiresIn=1)
        self.server.process.wait(20)
        self.assertEqual(-9, self.server.process.returncode)
        self.server.start()
        type(self).api = self.server.api()
        self.await_gone(vm["uuid"], 15)
        self.assertEqual(1, len(self.events("lease-ended", vm["uuid"])))
        self.assert_nothing_left_over()


if __name__ == "__main__":
    unittest.main(verbosity=2)
