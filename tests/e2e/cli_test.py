"""Commands of `ramet` on a real server: snapshots as trees, several at once, and the settings of VMs and of the server."""
import json
import os
import pathlib
import subprocess
import unittest

from support import RAMET, World

LINE = 40  # of snapshots one after another


class CommandLine(World):
    """The VM `web01` is stopped; nothing here needs its guest."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.vm = cls.api.create_vm("web01", cls.image["uuid"], strategy="CreateStopped")
        cls.root = cls.vm["rootVolumeUuid"]

    def tearDown(self):
        for snapshot in self.api.rows("/volume-snapshots"):
            self.api.delete("/volume-snapshots/" + snapshot["uuid"])
        for checkpoint in self.api.rows("/checkpoints"):
            self.api.delete("/checkpoints/" + checkpoint["uuid"])
        self.assert_nothing_left_over()

    def ramet(self, *arguments, code=0):
        environment = dict(os.environ, RAMET_SERVER=self.server.url, RAMET_PASSWORD=self.server.password, XDG_CONFIG_HOME=self.directory)
        done = subprocess.run([RAMET, *arguments], env=environment, capture_output=True, text=True, timeout=90)
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def json_of(self, *arguments, code=0):
        return json.loads(self.ramet("-o", "json", *arguments, code=code))

    def snapshot(self, name):
        return self.api.post(f"/volumes/{self.root}/volume-snapshots", {"params": {"name": name}})["inventory"]

    def names(self):
        return sorted(row["name"] for row in self.api.rows("/volume-snapshots"))

    # --- snapshots

    def test_a_tree_is_drawn_with_its_branches_and_where_the_volume_goes_on(self):
        first = self.snapshot("first")
        self.snapshot("second")
        self.ramet("snapshot", "revert", first["uuid"])
        self.snapshot("branch")
        lines = self.ramet("snapshot", "tree").splitlines()
        self.assertEqual(f"ROOT-for-web01 ({self.root})", lines[0])
        for line, beginning in zip(lines[1:], ("└─ first  ", "   ├─ second  ", "   └─ branch  "), strict=True):
            self.assertTrue(line.startswith(beginning), line)
        self.assertEqual([False, False, True], ["goes on from here" in line for line in lines[1:]])
        self.assertEqual(lines, self.ramet("snapshot", "tree", "web01").splitlines())
        self.assertEqual(lines, self.ramet("snapshot", "tree", "--volume", "ROOT-for-web01").splitlines())
        tree, = self.json_of("snapshot", "tree", "web01")
        self.assertEqual(["second", "branch"], [child["inventory"]["name"] for child in tree["tree"]["children"]])
        self.assertIn("VM", self.ramet("snapshot", "tree", "--volume", code=2))
        self.assertIn("there is no vm named 'nobody'", self.ramet("snapshot", "tree", "nobody", code=1))

    def test_a_long_line_of_snapshots_is_shown_to_its_end(self):
        for number in range(LINE):
            self.snapshot(f"s{number:02}")
        lines = self.ramet("snapshot", "tree", "web01").splitlines()
        self.assertEqual(1 + LINE, len(lines))
        self.assertTrue(lines[-1].lstrip().startswith(f"└─ s{LINE - 1}"), lines[-1])
        self.assertEqual(1, len(self.json_of("snapshot", "tree")))

    def test_several_snapshots_are_deleted_by_one_command_or_none_is(self):
        for name in ("one", "two", "three"):
            self.snapshot(name)
        self.ramet("snapshot", "create", "web01", "whole")
        self.assertIn("there is no snapshot named 'nothing'", self.ramet("snapshot", "delete", "one", "whole", "nothing", code=1))
        self.assertEqual(["one", "three", "two", "whole"], self.names())
        results = self.json_of("snapshot", "delete", "one", "whole", "two")
        self.assertEqual([True] * 3, [entry["success"] for entry in results])
        self.assertEqual(["three"], self.names())
        self.assertEqual([], self.api.rows("/volume-snapshots/group"))
        self.snapshot("four")
        self.assertEqual(2, self.ramet("snapshot", "delete", "three", "four").count("true"))
        self.assertIn("SNAPSHOTS", self.ramet("snapshot", "delete", code=2))

    def test_whether_a_vm_can_be_taken_back_is_told(self):
        self.ramet("snapshot", "create", "web01", "before")
        self.assertIn("true", self.ramet("snapshot", "check", "before"))
        volume = self.api.post("/volumes/data", {"params": {"name": "late", "diskSize": 1 << 20}})["inventory"]["uuid"]
        self.api.post(f"/volumes/{volume}/vm-instances/{self.vm['uuid']}", {"params": {}})
        try:
            self.assertIn("attached after", self.ramet("snapshot", "check", "before", code=1))
            self.assertFalse(self.json_of("snapshot", "check", "before", code=1)[0]["available"])
        finally:
            self.api.delete(f"/volumes/{volume}/vm-instances")
            self.ramet("volume", "delete", "late")
        self.assertIn("Ready", self.ramet("volume", "recover", volume))
        self.ramet("volume", "delete", volume)
        self.ramet("volume", "expunge", volume)
        self.assertEqual([], self.api.rows("/volumes", "uuid=" + volume))

    def test_a_checkpoint_is_renamed(self):
        self.ramet("checkpoint", "create", "web01", "cold")
        self.assertIn("colder", self.ramet("checkpoint", "update", "cold", "--name", "colder", "--description", "of winter"))
        self.assertEqual("of winter", self.api.rows("/checkpoints", "name=colder")[0]["description"])
        self.assertIn("--name", self.ramet("checkpoint", "update", "colder", code=2))

    # --- settings

    def test_a_vm_is_renamed_and_given_a_host_name_and_a_link(self):
        vm = self.api.clone(self.vm["uuid"], ["twin"], strategy="CreateStopped")["inventories"][0]["inventory"]
        try:
            self.assertIn("sister", self.ramet("vm", "update", "twin", "--name", "sister"))
            self.assertEqual("of web01", self.json_of("vm", "update", "sister", "--description", "of web01")[0]["description"])
            self.assertIn("--name", self.ramet("vm", "update", "sister", code=2))
            self.assertEqual("www\n", self.ramet("vm", "hostname", "sister", "www"))
            self.assertEqual("www", self.json_of("vm", "hostname", "sister")["hostname"])
            self.assertNotEqual("www\n", self.ramet("vm", "hostname", "sister", "none"))
            self.assertIn("disable", self.ramet("vm", "link", "sister", "down"))
            self.assertEqual("disable", self.api.vm(vm["uuid"])["vmNics"][0]["state"])
            self.assertIn("enable", self.ramet("vm", "link", "sister", "up", "--nic", "0"))
            self.assertIn("has no NIC 7", self.ramet("vm", "link", "sister", "up", "--nic", "7", code=1))
            self.assertIn("STATE", self.ramet("vm", "link", "sister", "sideways", code=2))
            self.assertIn("Running", self.ramet("vm", "console", "sister", code=1))
            self.ramet("vm", "start", "sister")
            self.assertTrue(pathlib.Path(self.json_of("vm", "console", "sister")[0]["path"]).is_socket())
        finally:
            self.expunge(vm["uuid"])

    def test_an_image_and_a_volume_are_renamed_switched_off_and_brought_back(self):
        image = self.image["uuid"]
        self.ramet("image", "rename", image, "spare")
        self.ramet("image", "boot-mode", "spare", "UEFI")
        self.assertIn("bootMode::UEFI", {tag["tag"] for tag in self.api.rows("/system-tags") if tag["resourceUuid"] == image})
        self.ramet("image", "boot-mode", "spare", "Legacy")
        self.ramet("image", "disable", "spare")
        self.assertIn("spare", self.ramet("vm", "create", "more", "--image", "spare", code=1))
        self.ramet("image", "enable", "spare")
        self.assertIn("256 MiB", self.ramet("vm", "boot-mode", "web01", "UEFI", code=1))  # it has 128
        self.ramet("vm", "boot-mode", "web01", "Legacy")
        self.assertIn("bootMode::Legacy", {tag["tag"] for tag in self.api.rows("/system-tags") if tag["resourceUuid"] == self.vm["uuid"]})
        self.assertIn("UEFI", self.ramet("vm", "boot-mode", "web01", "CSM", code=2))

        volume = self.json_of("volume", "create", "data", "--size", "1M")[0]["uuid"]
        self.ramet("volume", "rename", "data", "more data")
        self.ramet("volume", "disable", "more data")
        self.ramet("volume", "attach", "more data", "web01", code=1)
        self.ramet("volume", "enable", "more data")
        self.ramet("volume", "attach", "more data", "web01")  # one that no VM has had is no file yet, and nothing of it could be recovered
        self.ramet("volume", "detach", "more data")
        self.ramet("volume", "delete", "more data")
        self.assertEqual("Deleted", self.api.rows("/volumes", f"uuid={volume}")[0]["status"])
        self.ramet("volume", "recover", "more data")
        self.ramet("volume", "delete", volume)
        self.ramet("volume", "expunge", volume)
        self.assertEqual([], self.api.rows("/volumes", f"uuid={volume}"))

    def test_settings_are_listed_and_changed(self):
        self.assertIn("garbage", self.ramet("config", "list", "-q", "name=gracePeriod"))
        self.assertIn("3600", self.ramet("config", "set", "garbage.gracePeriod", "3600"))
        self.assertEqual("3600", self.json_of("config", "list", "-q", "name=gracePeriod")[0]["value"])
        self.ramet("config", "set", "garbage.gracePeriod", "86400")
        self.assertIn("CATEGORY.NAME", self.ramet("config", "set", "gracePeriod", "1", code=2))
        self.ramet("config", "set", "garbage.gracePeriod", "soon", code=1)
        self.ramet("config", "set", "no/such.thing", "1", code=1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
