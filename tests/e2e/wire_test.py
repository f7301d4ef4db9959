"""What clients that speak ZStack's REST API rely on beside the main path: validation alone, deletes that name what is not there, wishes that cannot be
had, settings that count, jobs that can be found."""
import http.server
import json
import os
import pathlib
import subprocess
import threading
import time
import unittest
import urllib.error
import urllib.request

from support import RAMET, TINY, ApiError, World

MIB = 1 << 20
NOTHING = "0" * 32


class Hooks(http.server.BaseHTTPRequestHandler):
    bodies = []

    def do_POST(self):
        type(self).bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


class Forgetful(http.server.BaseHTTPRequestHandler):
    """Stands before the server and loses its answer to the first clone call."""

    target, lost, keys = "", 0, []

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = urllib.request.Request(self.target + self.path, data=body or None, method=self.command, headers=dict(self.headers))
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        if b"cloneVmInstance" in body:
            type(self).keys.append(self.headers["Idempotency-Key"])
            if not type(self).lost:
                type(self).lost = 1
                self.close_connection = True
                return
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PUT = do_POST = do_DELETE = pass_on

    def log_message(self, *_):
        pass


class Wire(World):
    arguments = ("--web-hooks", "local")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = cls.api.create_vm("web01", cls.image["uuid"], strategy="CreateStopped")

    def tearDown(self):
        for vm in self.api.rows("/vm-instances"):
            if vm["uuid"] != self.source["uuid"]:
                self.expunge(vm["uuid"])
        for volume in self.api.rows("/volumes", "type=Data"):
            self.api.delete("/volumes/" + volume["uuid"])
        for volume in self.api.rows("/volumes", "type=Data"):  # one that never had a disk is gone at once
            self.api.put(f"/volumes/{volume['uuid']}/actions", {"expungeDataVolume": {}})
        self.assert_nothing_left_over()

    def clone(self, names, **more):
        return self.api.clone(self.source["uuid"], names, strategy="CreateStopped", **more)

    def test_validation_only_checks_everything_and_keeps_nothing(self):
        tags = {"systemTags": ["ephemeral::validationOnly"]}
        network = self.api.rows("/l3-networks", "name=default")[0]["uuid"]
        vm = {"name": "v", "cpuNum": 1, "memorySize": 128 * MIB, "imageUuid": self.image["uuid"], "l3NetworkUuids": [network]}
        actions = f"/vm-instances/{self.source['uuid']}/actions"
        before = self.inventory(), self.api.rows("/images")
        for call in (lambda: self.api.put(actions, {"cloneVmInstance": {"names": ["v"]}, **tags}), lambda: self.api.post("/vm-instances", {"params": vm, **tags}),
                     lambda: self.api.post("/volumes/data", {"params": {"name": "v", "diskSize": MIB}, **tags}),
                     lambda: self.api.post("/images", {"params": {"name": "v", "url": self.image["url"], "format": "qcow2",
                                                                  "backupStorageUuids": [self.api.rows("/backup-storage")[0]["uuid"]]}, **tags}),
                     lambda: self.api.put(actions, {"startVmInstance": {}, **tags})):
            self.assertEqual({}, call())
        self.assertEqual(before, (self.inventory(), self.api.rows("/images")))
        self.assertEqual("Stopped", self.api.vm(self.source["uuid"])["state"])
        self.refused("SYS.1007", "names", call=lambda: self.api.put(actions, {"cloneVmInstance": {"names": []}, **tags}))

    def test_a_delete_that_names_what_is_not_there_says_so(self):
        volume = self.api.post("/volumes/data", {"params": {"name": "d", "diskSize": MIB}})["inventory"]["uuid"]
        self.api.post(f"/volumes/{volume}/vm-instances/{self.source['uuid']}", {"params": {}})
        self.refused("SYS.1003", "vmUuid", call=lambda: self.api.delete(f"/volumes/{volume}/vm-instances?vmUuid={NOTHING}"))
        self.refused("SYS.1003", "uuid", call=lambda: self.api.delete(f"/volumes/{NOTHING}/vm-instances"))
        self.refused("SYS.1003", "backupStorageUuids", call=lambda: self.api.delete(f"/images/{self.image['uuid']}?backupStorageUuids={NOTHING}"))
        self.assertEqual({}, self.api.delete("/volumes/" + NOTHING))  # what is gone is gone
        self.assertEqual(self.source["uuid"], self.api.rows("/volumes", "uuid=" + volume)[0]["vmInstanceUuid"])
        self.api.delete(f"/volumes/{volume}/vm-instances")

    def test_wishes_that_cannot_be_had_are_refused(self):
        nic = self.source["vmNics"][0]
        network, address = nic["l3NetworkUuid"], self.api.get(f"/l3-networks/{nic['l3NetworkUuid']}/ip/free?limit=1")["inventories"][0]["ip"]
        for field, wrong in (("netmask", "255.0.0.0"), ("netmask", "junk"), ("gateway", "10.0.0.1")):
            wish = {"l3NetworkUuid": network, "ip": address, field: wrong}
            self.refused("SYS.1007", f"vmNicParams[0].{field}", call=lambda wish=wish: self.clone(["x"], vmNicParams=[wish]))
        kept = {"l3NetworkUuid": network, "ip": address, "netmask": nic["netmask"], "gateway": nic["gateway"]}
        self.assertEqual(address, self.clone(["x"], vmNicParams=[kept])["inventories"][0]["inventory"]["vmNics"][0]["ip"])
        tag = {"resourceType": "VmInstanceVO", "resourceUuid": self.source["uuid"], "tag": f"staticIp::{network}::{address}"}
        self.refused("SYS.1007", "tag", "cloned", call=lambda: self.api.post("/system-tags", {"params": tag}))
        self.refused("SYS.1007", "uuid", call=lambda: self.clone(["y"], hostUuid=""))
        self.refused("SYS.1007", "strategy", call=lambda: self.api.clone(self.source["uuid"], ["y"], strategy=""))

    def test_a_disk_of_an_odd_size_is_of_whole_sectors(self):
        volume = self.api.post("/volumes/data", {"params": {"name": "odd", "diskSize": MIB + 1}})["inventory"]
        self.assertEqual(MIB + 512, volume["size"])
        self.api.post(f"/volumes/{volume['uuid']}/vm-instances/{self.source['uuid']}", {"params": {}})
        self.assertEqual({}, self.violated())
        self.api.delete(f"/volumes/{volume['uuid']}/vm-instances")

    def test_what_is_disabled_takes_nothing_new(self):
        network = self.source["vmNics"][0]["l3NetworkUuid"]
        self.api.put(f"/l3-networks/{network}/actions", {"changeL3NetworkState": {"stateEvent": "disable"}})
        try:
            self.refused("SYS.1006", "Disabled", call=lambda: self.clone(["x"]))
        finally:
            self.api.put(f"/l3-networks/{network}/actions", {"changeL3NetworkState": {"stateEvent": "enable"}})

    def test_where_addresses_run_out_the_first_names_are_served(self):
        l2 = self.api.rows("/l2-networks")[0]["uuid"]
        network = self.api.post("/l3-networks", {"params": {"name": "small", "l2NetworkUuid": l2}})["inventory"]["uuid"]
        self.api.post(f"/l3-networks/{network}/ip-ranges", {"params": {"name": "r", "startIp": "10.99.0.10", "endIp": "10.99.0.12", "netmask": "255.255.255.0",
                                                                       "gateway": "10.99.0.1"}})
        vm = self.api.create_vm("small", self.image["uuid"], l3NetworkUuids=[network], strategy="CreateStopped")
        result = self.api.clone(vm["uuid"], ["a", "b", "c"], strategy="CreateStopped")
        self.assertEqual(2, result["numberOfClonedVm"], result)
        self.assertIn("no free IP", json.dumps(result["inventories"][2]["error"]))
        self.assertEqual({"a", "b"}, {entry["inventory"]["name"] for entry in result["inventories"][:2]})
        for row in self.api.rows("/vm-instances"):
            if row["uuid"] != self.source["uuid"]:
                self.expunge(row["uuid"])
        self.api.delete("/l3-networks/" + network)

    def test_settings_that_are_listed_count(self):
        def setting(category, name, value):
            self.api.put(f"/global-configurations/{category}/{name}/actions", {"updateGlobalConfig": {"value": value}})

        setting("vm", "uniqueVmName", "true")
        setting("kvm", "dataVolume.maxNum", "1")
        try:
            self.refused("SYS.1007", "WEB01", call=lambda: self.api.create_vm("WEB01", self.image["uuid"], strategy="CreateStopped"))
            volumes = [self.api.post("/volumes/data", {"params": {"name": f"d{index}", "diskSize": MIB}})["inventory"]["uuid"] for index in range(2)]
            self.api.post(f"/volumes/{volumes[0]}/vm-instances/{self.source['uuid']}", {"params": {}})
            with self.assertRaises(ApiError):
                self.api.post(f"/volumes/{volumes[1]}/vm-instances/{self.source['uuid']}", {"params": {}})
            self.api.delete(f"/volumes/{volumes[0]}/vm-instances")
        finally:
            setting("vm", "uniqueVmName", "false")
            setting("kvm", "dataVolume.maxNum", "24")

    def test_a_web_hook_is_sent_the_schema_that_was_asked_for(self):
        receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hooks)
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        try:
            path, body = f"/zstack/v1/vm-instances/{self.source['uuid']}/actions", {"cloneVmInstance": {"names": ["h"], "strategy": "CreateStopped"}}
            for headers in ({}, {"X-JSON-Schema": "true"}):
                status, text, _ = self.api.send("PUT", path, body, {"X-Web-Hook": f"http://127.0.0.1:{receiver.server_port}/", "X-API-Timeout": "60", **headers})
                self.assertEqual((202, 60_000), (status, json.loads(text)["apiTimeout"]))
                end = time.monotonic() + 30
                while len(Hooks.bodies) < 1 + len(headers) and time.monotonic() < end:
                    time.sleep(0.05)
            self.assertEqual([["result"], ["result", "schema"]], [sorted(told) for told in Hooks.bodies])
        finally:
            receiver.shutdown()
            receiver.server_close()

    def test_jobs_are_found_and_what_is_no_api_is_no_empty_list(self):
        self.clone(["j"])
        jobs = self.api.get("/jobs?q=apiName=CloneVmInstance&sort=-createDate&limit=1")["inventories"]
        self.assertEqual(["Succeeded"], [job["state"] for job in jobs])
        self.assertEqual(jobs[0]["uuid"], self.api.get("/jobs/" + jobs[0]["uuid"])["uuid"])
        for path in ("/accounts/quotas", "/vm-instances/candidate-destinations"):
            self.assertEqual(404, self.api.send("GET", "/zstack/v1" + path)[0], path)
        self.assertEqual([], self.api.get("/vm-instances/" + NOTHING)["inventories"])

    def test_a_dry_run_of_a_checkpoint_changes_nothing(self):
        checkpoint = self.api.post(f"/vm-instances/{self.source['uuid']}/checkpoints", {"params": {"name": "kept"}})["inventory"]["uuid"]
        before = self.inventory()
        wish = {"names": ["a", "b"], "strategy": "CreateStopped", "dryRun": True}
        plan = self.api.put(f"/checkpoints/{checkpoint}/actions", {"cloneVmInstance": wish})["result"]["plan"]
        self.assertEqual(["a", "b"], [clone["name"] for clone in plan["clones"]])
        self.assertEqual(before, self.inventory())
        self.api.delete("/checkpoints/" + checkpoint)

    def test_capacity_that_no_row_holds_can_be_searched_and_sorted_by(self):
        for query, found in (("sort=%2BavailableCapacity", 1), ("sort=-totalPhysicalCapacity", 1), ("q=totalCapacity%3E1", 1), ("q=availableCapacity%3C1", 0),
                             ("q=totalCapacity%3E1&q=state=Enabled&replyWithCount=true", 1)):
            answer = self.api.get("/primary-storage?" + query)
            self.assertEqual(found, len(answer["inventories"]), query)
            self.assertEqual(found, answer.get("total", found))
        self.assertEqual(1, self.api.get("/hosts?q=availableCpuCapacity%3E0&count=true")["total"])
        self.refused("SYS.1000", "primaryStorage.totalCapacity", "PrimaryStorageInventory itself", call=lambda: self.api.get("/volumes?q=primaryStorage.totalCapacity%3E1"))

    def test_server_processes_are_searched_like_everything_else(self):
        node = self.api.get("/management-nodes")["inventories"][0]
        for query, found in (("q=hostName=no%20such%20host", 0), ("q=hostName=" + node["hostName"], 1), ("q=uuid=" + node["uuid"], 1), ("start=1", 0), ("limit=0", 0)):
            self.assertEqual(found, len(self.api.get("/management-nodes?" + query)["inventories"]), query)
        self.assertEqual(1, self.api.get("/management-nodes?count=true")["total"])
        self.assertEqual([{"uuid": node["uuid"]}], self.api.get("/management-nodes?fields=uuid")["inventories"])
        self.assertEqual([node["uuid"]], [row["uuid"] for row in self.api.get("/management-nodes/" + node["uuid"])["inventories"]])
        self.assertEqual([], self.api.get("/management-nodes/" + NOTHING)["inventories"])
        self.assertEqual(node["uuid"], self.api.get("/management-nodes/ready")["managementNodeId"])

    def test_an_account_that_is_gone_is_deleted_like_anything_else(self):
        account = self.api.post("/accounts", {"params": {"name": "passing", "password": "p"}})["inventory"]["uuid"]
        for _ in range(2):
            self.assertEqual({}, self.api.delete("/accounts/" + account))

    def test_a_host_name_is_taken_however_it_is_spelled(self):
        other = self.api.create_vm("other", self.image["uuid"], strategy="CreateStopped")["uuid"]
        tag = {"resourceType": "VmInstanceVO", "resourceUuid": other, "tag": "hostname::Taken"}
        self.api.post("/system-tags", {"params": tag})
        self.refused("SYS.1007", "is taken", call=lambda: self.api.post("/system-tags", {"params": {**tag, "resourceUuid": self.source["uuid"], "tag": "hostname::tAKEN"}}))
        self.refused("SYS.1007", "is taken", call=lambda: self.api.action(self.source["uuid"], "setVmHostname", hostname="taken"))

    def test_an_ip_range_that_cannot_be_names_its_field(self):
        l2 = self.api.rows("/l2-networks")[0]["uuid"]
        network = self.api.post("/l3-networks", {"params": {"name": "ranges", "l2NetworkUuid": l2}})["inventory"]["uuid"]
        right = {"name": "r", "startIp": "10.98.0.10", "endIp": "10.98.0.12", "netmask": "255.255.255.0", "gateway": "10.98.0.1"}

        def add(**wrong):
            return self.api.post(f"/l3-networks/{network}/ip-ranges", {"params": {**right, **wrong}})

        for wrong, word in (({"startIp": "10.98.0.20"}, "endIp: 10.98.0.12 lies before"), ({"endIp": "10.98.1.20"}, "endIp: 10.98.1.20 is outside of"),
                            ({"gateway": "10.97.0.1"}, "gateway: 10.97.0.1 is outside of"), ({"netmask": "255.0.255.0"}, "netmask:"), ({"startIp": "x"}, "startIp:")):
            self.refused("SYS.1007", word, call=lambda wrong=wrong: add(**wrong))
        add()
        self.refused("SYS.1007", "startIp: the range", "overlaps", call=add)
        self.refused("SYS.1007", "startIp: the range is in 10.96.0.0/24", call=lambda: add(startIp="10.96.0.10", endIp="10.96.0.12", gateway="10.96.0.1"))
        self.api.delete("/l3-networks/" + network)

    def test_an_image_that_cannot_be_used_says_what_to_do(self):
        image = self.api.add_image(TINY, name="passing")["uuid"]

        def create():
            return self.api.create_vm("v", image, strategy="CreateStopped")

        self.api.put(f"/images/{image}/actions", {"changeImageState": {"stateEvent": "disable"}})
        self.refused("SYS.1006", "is disabled; enable it", call=create)
        self.api.put(f"/images/{image}/actions", {"changeImageState": {"stateEvent": "enable"}})
        self.api.delete("/images/" + image)
        self.refused("SYS.1006", "is deleted; recover it", call=create)
        self.api.put(f"/images/{image}/actions", {"expungeImage": {}})

    def ramet(self, *arguments, server=None):
        environment = dict(os.environ, RAMET_SERVER=server or self.server.url, RAMET_PASSWORD=self.server.password, XDG_CONFIG_HOME=self.directory)
        return subprocess.run([RAMET, *arguments], env=environment, capture_output=True, text=True, timeout=60)

    def test_the_cli_makes_no_directory_of_a_typing_error_and_deletes_a_storage(self):
        there = pathlib.Path(self.directory) / "second"
        refused = self.ramet("storage", "add", "second", str(there))
        self.assertEqual(1, refused.returncode, refused)
        self.assertIn("there is no directory", refused.stderr)
        self.assertIn("--create", refused.stderr)
        self.assertFalse(there.exists())
        made = self.ramet("storage", "add", "second", str(there), "--create")
        self.assertEqual((0, True), (made.returncode, there.is_dir()), made)
        self.assertEqual(0, self.ramet("storage", "delete", "second").returncode)
        self.assertEqual([], self.api.rows("/primary-storage", "name=second"))
        self.assertEqual(0, self.ramet("storage", "add", "second", str(there)).returncode)  # it is there now
        self.assertEqual(0, self.ramet("storage", "delete", self.api.rows("/primary-storage", "name=second")[0]["uuid"]).returncode)
        unmodified = self.api.post("/primary-storage/local-storage", {"params": {"name": "third", "url": str(there) + "3", "zoneUuid": self.api.rows("/zones")[0]["uuid"]}})
        self.api.delete("/primary-storage/" + unmodified["inventory"]["uuid"])

    def test_a_clone_whose_answer_is_lost_is_made_once(self):
        Forgetful.target = self.server.url
        proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forgetful)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            done = self.ramet("clone", "web01", "once-{1..2}", "--strategy", "CreateStopped", server=f"http://127.0.0.1:{proxy.server_port}")
        finally:
            proxy.shutdown()
            proxy.server_close()
        self.assertEqual(0, done.returncode, done)
        self.assertEqual((1, 2, 1), (Forgetful.lost, len(Forgetful.keys), len(set(Forgetful.keys))), Forgetful.keys)
        self.assertEqual(["once-1", "once-2"], sorted(vm["name"] for vm in self.api.rows("/vm-instances", "name~=once-%")))

    def test_a_vm_without_a_lease_is_not_given_one_by_extending_it(self):
        self.refused("SYS.1006", "no lease", call=lambda: self.api.action(self.source["uuid"], "extendVmInstanceLease", expiresIn=60))
        self.assertIsNone(self.api.vm(self.source["uuid"]).get("leaseEndDate"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
