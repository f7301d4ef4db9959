"""Years of clones of clones: lineage, deleting what others stand on, flattening, chains that stay short."""
import itertools
import json
import pathlib
import random
import subprocess
import threading
import time
import unittest

from chains import MIB, Written, chain_of, make_writer_image
from support import RAMET, TINY, Agent, Api, ApiError, World

DEPTH_MAX = 8


class DepthWatch:
    """Asks for the depth of every chain all the time."""

    def __init__(self, api):
        self.api, self.deepest, self.looks, self.ended = api, 0, 0, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.ended.wait(0.1):
            answer = self.api.get("/lineage")
            self.deepest = max([self.deepest, *(vm["depth"] for vm in answer["vms"])])
            self.looks += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


class Lineage(World):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        disk = pathlib.Path(cls.directory) / "writer.qcow2"
        make_writer_image(disk)
        cls.writer = cls.api.add_image(disk, name="writer")

    def set_merging(self, value):
        self.api.put("/global-configurations/volume/backgroundMerge/actions", {"updateGlobalConfig": {"value": value}})

    def tearDown(self):
        self.set_merging("true")
        for vm in self.api.rows("/vm-instances"):
            self.expunge(vm["uuid"])
        self.assert_nothing_left_over()

    def source(self, name="a", image=None, **more):
        return Written(self, self.api.create_vm(name, (image or self.writer)["uuid"], **{"strategy": "CreateStopped", **more})).run()

    def disk_usage(self):
        primary = self.api.rows("/primary-storage")[0]["url"]
        return int(subprocess.run(["du", "-s", "--block-size=1", primary], check=True, capture_output=True, text=True).stdout.split()[0])

    def assert_sum_fits(self, answer):
        self.assertEqual(answer["totalBytes"], sum(layer["bytes"] for layer in answer["layers"]))
        self.assertAlmostEqual(self.disk_usage(), answer["totalBytes"], delta=self.disk_usage() * 0.01)

    # --- lineage

    def test_the_sum_of_all_layers_is_what_the_storage_occupies_and_own_bytes_are_what_expunging_frees(self):
        self.set_merging("false")  # it would change the bytes between two looks
        a = self.source()
        b = a.clone("b").run()
        c = b.clone("c").run()
        running = self.api.create_vm("guest", self.image["uuid"])
        Agent(self.server.data_dir, running["uuid"]).run("dd if=/dev/urandom of=/root/blob bs=64k count=16 2>/dev/null; sync", 90)
        answer = self.api.get("/lineage")
        self.assert_sum_fits(answer)
        by_name = {vm["name"]: vm for vm in answer["vms"]}
        self.assertEqual({"a", "b", "c", "guest"}, set(by_name))
        self.assertGreater(by_name["guest"]["ownBytes"], MIB)
        self.assertEqual([4, 2], [by_name["c"]["depth"], by_name["guest"]["depth"]])
        layers = {layer["uuid"]: layer for layer in answer["layers"]}
        root = next(layer for layer in answer["layers"] if layer.get("imageUuid") == self.writer["uuid"])
        self.assertEqual(("image", 3, 0), (root["kind"], root["volumes"], root["foreignVolumes"]))
        for vm in answer["vms"]:
            top, total = vm["volumes"][0]["topLayerUuid"], 0
            while top:
                total, top = total + layers[top]["bytes"], layers[top].get("parentUuid")
            self.assertEqual(total, vm["ownBytes"] + vm["sharedBytes"])
        self.api.action(running["uuid"], "pauseVmInstance")  # its guest may write at any time
        for vm in (b, c, a):  # whoever goes frees its own bytes, as they are at that moment
            before = self.api.get("/lineage")
            own = next(entry for entry in before["vms"] if entry["uuid"] == vm.uuid)["ownBytes"]
            self.expunge(vm.uuid)
            after = self.api.get("/lineage")
            self.assertEqual(before["totalBytes"] - own, after["totalBytes"], vm.name)
            self.assert_sum_fits(after)

    def test_accounts_see_their_own_and_others_are_counted(self):
        a = self.source()
        a.clone("b")
        self.api.post("/accounts", {"params": {"name": "tenant", "password": "a" * 128}})
        tenant = Api(self.server.url)
        tenant.session = tenant.put("/accounts/login", {"logInByAccount": {"accountName": "tenant", "password": "a" * 128}})["inventory"]["uuid"]
        theirs = tenant.create_vm("theirs", self.writer["uuid"], strategy="CreateStopped")
        answer = tenant.get("/lineage")
        self.assertEqual(["theirs"], [vm["name"] for vm in answer["vms"]])
        image = next(layer for layer in answer["layers"] if layer["kind"] == "image")
        self.assertEqual((3, 2), (image["volumes"], image["foreignVolumes"]))
        self.assertEqual(2, len(answer["layers"]))
        text = json.dumps(answer)
        for foreign in (a.uuid, a.path, self.api.vm(a.uuid)["rootVolumeUuid"]):
            self.assertNotIn(foreign, text)
        with self.assertRaises(ApiError):
            tenant.get(f"/vm-instances/{a.uuid}/lineage")
        self.assertEqual(answer["vms"], self.api.get(f"/vm-instances/{theirs['uuid']}/lineage")["vms"])

    def test_the_command_line_draws_a_tree(self):
        a = self.source("web01")
        a.clone("web02")
        run = lambda *words: subprocess.run([RAMET, "--server", self.server.url, *words], capture_output=True, text=True, env={"RAMET_PASSWORD": self.server.password, "HOME": self.directory, "PATH": "/usr/bin:/bin"})
        done = run("lineage")
        self.assertEqual(0, done.returncode, done.stderr)
        lines = done.stdout.splitlines()
        image = next(i for i, line in enumerate(lines) if line.startswith("image") and "2 volumes" in line)
        self.assertRegex(lines[image + 1], r"^└─ sealed [0-9a-f]{8}  .*2 volumes$")
        self.assertEqual({"├─ web01", "└─ web02"} if "web01" in lines[image + 2] else {"├─ web02", "└─ web01"}, {line.strip().split(" (")[0] for line in lines[image + 2:image + 4]})
        self.assertIn("total ", lines[-1])
        one = run("lineage", "web02")
        self.assertNotIn("web01", one.stdout)
        self.assertEqual(3, len(json.loads(run("-o", "json", "lineage", "web02").stdout)["layers"]))
        told = run("volume", "flatten", "ROOT-for-web02", "--dry-run")
        self.assertEqual((0, True, 3), (told.returncode, "bytesToCopy" in told.stdout, Written(self, self.api.rows("/vm-instances", "name=web02")[0]).depth()), told.stderr)
        for words in (("volume", "flatten", "ROOT-for-web02"), ("vm", "flatten", "web01")):
            self.assertEqual(0, run(*words).returncode, words)
        self.assertEqual([1, 1], [vm["depth"] for vm in self.api.get("/lineage")["vms"]])

    # --- deleting what others stand on

    def test_whoever_goes_first_the_rest_keeps_its_content(self):
        orders = list(itertools.permutations("abcd"))
        random.Random(8).shuffle(orders)
        for order in orders[:3]:
            with self.subTest(order=order):
                image = self.api.add_image(pathlib.Path(self.directory) / "writer.qcow2", name="passing")
                vms = {"a": self.source(image=image)}
                for name, below in (("b", "a"), ("c", "b"), ("d", "b")):
                    vms[name] = vms[below].clone(name).run()
                self.api.delete("/images/" + image["uuid"])
                self.api.put(f"/images/{image['uuid']}/actions", {"expungeImage": {}})
                for name in order:
                    self.expunge(vms.pop(name).uuid)
                    for vm in vms.values():
                        vm.assert_content()
                self.assertEqual([], self.doctor())

    # --- flattening

    def job_of(self, path, body):
        status, text, _ = self.api.send("PUT", "/zstack/v1" + path, body, {"Prefer": "respond-async"})
        self.assertEqual(202, status, text)
        return json.loads(text)["location"].rsplit("/", 1)[-1]

    def test_a_running_guest_is_flattened_under_its_feet(self):
        source = self.api.create_vm("source", self.image["uuid"])
        agent = Agent(self.server.data_dir, source["uuid"])
        agent.run("dd if=/dev/urandom of=/root/blob bs=64k count=64 2>/dev/null; sync", 90)
        sum_before = agent.run("md5sum < /root/blob")
        clone = self.api.clone(source["uuid"], ["flat"])["inventories"][0]["inventory"]
        guest = Agent(self.server.data_dir, clone["uuid"])
        guest.run("(while :; do date >> /root/ticks; sync; sleep 0.05; done) >/dev/null 2>&1 &", 90)
        told = self.api.action(clone["uuid"], "flattenVmInstance", dryRun=True)
        self.assertGreater(told["bytesToCopy"], 4 * MIB)
        self.assertGreater(len(chain_of(self.api.vm(clone["uuid"])["allVolumes"][0]["installPath"])), 1)
        self.api.action(clone["uuid"], "flattenVmInstance")
        path = self.api.vm(clone["uuid"])["allVolumes"][0]["installPath"]
        self.assertEqual([path], chain_of(path))
        entry = self.api.get(f"/vm-instances/{clone['uuid']}/lineage")["vms"][0]
        self.assertEqual((1, 0), (entry["depth"], entry["sharedBytes"]))
        ticks = int(guest.run("wc -l < /root/ticks"))
        self.assertEqual(sum_before, guest.run("md5sum < /root/blob"))
        self.expunge(source["uuid"])
        time.sleep(0.3)
        self.assertGreater(int(guest.run("wc -l < /root/ticks")), ticks)
        again = self.api.clone(clone["uuid"], ["again"], strategy="CreateStopped")["inventories"][0]["inventory"]  # its nodes' names have gaps now
        self.api.action(clone["uuid"], "stopVmInstance", type="cold")
        self.api.action(clone["uuid"], "startVmInstance")
        self.assertEqual(sum_before, guest.run("md5sum < /root/blob", 90))
        self.assertEqual(2, len(chain_of(again["allVolumes"][0]["installPath"])))

    def test_stopped_and_paused_vms_and_single_volumes_are_flattened(self):
        a = self.source()
        b = a.clone("b").run()
        c = b.clone("c")
        self.api.action(c.uuid, "flattenVmInstance")
        self.assertEqual(1, c.depth())
        b.start_paused()
        volume = self.api.vm(b.uuid)["rootVolumeUuid"]
        self.assertGreater(self.api.put(f"/volumes/{volume}/actions", {"flattenVolume": {"dryRun": True}})["bytesToCopy"], 0)
        self.api.put(f"/volumes/{volume}/actions", {"flattenVolume": {}})
        self.assertEqual("Paused", self.api.vm(b.uuid)["state"])
        self.assertEqual(1, b.depth())
        b.resume()
        self.expunge(a.uuid)
        for vm in (b, c):
            vm.assert_content()
        created = b.clone("created", strategy="JustCreate")
        self.refused("SYS.1006", "Created", call=lambda: self.api.action(created.uuid, "flattenVmInstance"))

    def test_a_cancelled_flattening_leaves_the_disk_as_it_was(self):
        large = pathlib.Path(self.directory) / "large.qcow2"
        make_writer_image(large, megabytes=60)
        image = self.api.add_image(large, name="large")
        for state in ("Stopped", "Paused"):
            vm = self.source("cancelled-" + state, image=image)
            if state == "Paused":
                vm.start_paused()
            before = chain_of(vm.path)
            job = self.job_of(f"/vm-instances/{vm.uuid}/actions", {"flattenVmInstance": {}})
            status, _, _ = self.api.send("DELETE", "/zstack/v1/jobs/" + job)
            end = time.monotonic() + 20
            while self.api.send("GET", "/zstack/v1/api-jobs/" + job)[0] == 202 and time.monotonic() < end:
                time.sleep(0.05)
            if status == 200:
                self.assertEqual(before, chain_of(vm.path), state)
            self.assertEqual(state, self.api.vm(vm.uuid)["state"])
            if state == "Paused":
                vm.resume()
            vm.assert_content()
        self.api.delete("/images/" + image["uuid"])

    # --- chains stay short

    def test_clones_of_clones_never_have_more_than_eight_layers(self):
        generations, dice = 18, random.Random(13)
        vms = [self.source("g0")]
        with DepthWatch(self.server.api()) as watch:
            for generation in range(1, generations + 1):
                parent = vms[-1] if generation % 4 else vms[dice.randrange(len(vms))]  # mostly deeper, sometimes wider
                clone = parent.clone(f"g{generation}", strategy="CreateStopped")
                self.assertLessEqual(parent.depth(), DEPTH_MAX)
                self.assertLessEqual(clone.depth(), DEPTH_MAX)
                vms.append(clone.run())
        self.assertGreater(watch.looks, 20)
        self.assertLessEqual(watch.deepest, DEPTH_MAX)
        for vm in vms:
            vm.assert_content()
        self.assert_sum_fits(self.api.get("/lineage"))

    def test_what_is_kept_under_the_last_layer_there_may_be_is_reverted_to_and_cloned_within_eight_layers(self):
        self.set_merging("false")  # only the captures themselves make room
        a = self.source("a")
        keep = lambda: self.api.post("/volume-snapshots/group", {"params": {"rootVolumeUuid": self.api.vm(a.uuid)["rootVolumeUuid"], "name": "kept"}})["inventory"]
        while a.depth() < DEPTH_MAX - 1:
            keep()
            a.run()
        group, cells = keep(), dict(a.cells)
        checkpoint = self.api.post(f"/vm-instances/{a.uuid}/checkpoints", {"params": {"name": "kept"}})["inventory"]
        self.assertEqual(DEPTH_MAX, a.depth())
        a.run()
        self.api.put(f"/volume-snapshots/group/{group['uuid']}/actions", {"revertVmFromSnapshotGroup": {}})
        a.cells = dict(cells)
        of_group = a.clone("of-group", volumeSnapshotGroupUuid=group["uuid"])
        made = self.api.put(f"/checkpoints/{checkpoint['uuid']}/actions", {"cloneVmInstance": {"names": ["of-checkpoint"], "strategy": "CreateStopped"}})
        of_checkpoint = Written(self, made["result"]["inventories"][0]["inventory"], cells)
        for vm in (a, of_group, of_checkpoint):
            self.assertEqual(DEPTH_MAX, vm.depth(), vm.name)
            vm.assert_content()
        self.assertEqual({}, self.violated())
        for vm in (a, of_group, of_checkpoint):  # the next capture finds each chain full
            clone = vm.run().clone("next-" + vm.name)
            for one in (vm, clone):
                self.assertLess(one.depth(), DEPTH_MAX, one.name)
                one.assert_content()
        self.assertEqual({}, self.violated())
        self.api.delete("/checkpoints/" + checkpoint["uuid"])

    def test_a_running_source_that_is_cloned_again_and_again_is_merged_while_it_runs(self):
        source = self.api.create_vm("runner", self.image["uuid"])
        guest = Agent(self.server.data_dir, source["uuid"])
        guest.call("guest-ping", 90)
        sums = {}
        for round_number in range(14):
            guest.run(f"head -c 100000 /dev/urandom > /root/f{round_number}; sync")
            sums[round_number] = guest.run(f"md5sum < /root/f{round_number}")
            clone = self.api.clone(source["uuid"], [f"r{round_number}"], strategy="CreateStopped")["inventories"][0]["inventory"]
            for vm in (source, clone):
                self.assertLessEqual(Written(self, vm).depth(), DEPTH_MAX)
        self.assertEqual("Running", self.api.vm(source["uuid"])["state"])
        self.api.action(clone["uuid"], "startVmInstance")
        for agent in (guest, Agent(self.server.data_dir, clone["uuid"])):
            agent.call("guest-ping", 90)
            for number, expected in sums.items():
                self.assertEqual(expected, agent.run(f"md5sum < /root/f{number}"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
