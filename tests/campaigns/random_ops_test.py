"""A model-based random test of the real server: eight clients, random operations on VMs, volumes, snapshots, clones, tags, leases and addresses;
every answer is compared with the model (model.py), in the end everything that is there. What they compete for is checked for an order that
explains all answers (linearize.py).

The history follows from the seed. A failing history is shrunk and written down; RAMET_REPLAY=FILE plays it again.
    RAMET_OPERATIONS=20000 RAMET_SEED=7 python3 tests/campaigns/random_ops_test.py
"""
import http.client
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from linearize import Ledger, SharedVm  # noqa: E402
from model import Mismatch, Model, require, require_row  # noqa: E402
from operations import OPERATIONS, add_clone, choose_operation  # noqa: E402
import operations_copies  # noqa: E402,F401
import operations_kept  # noqa: E402,F401
from support import Server, remove_tree  # noqa: E402

NIGHTLY = os.environ.get("RAMET_CAMPAIGN") == "nightly"
CLIENTS = 8
NETWORK, SMALL_ADDRESSES = "10.222.0", 6


class World:
    """A server with what the clients share."""

    image_size = 16 << 20

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="ramet-random-")
        self.server = Server(pathlib.Path(self.directory) / "data").start()
        self.api = self.server.api()
        disk = self.directory + "/blank.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, str(self.image_size)], check=True)
        self.image = self.api.add_image(disk, name="blank")["uuid"]
        self.network = self.api.rows("/l3-networks", "name=default")[0]["uuid"]
        self.storage = self.api.rows("/primary-storage")[0]["uuid"]
        self.small_network, self.addresses = self.make_small_network()
        self.running = self.api.create_vm("running", self.image)
        vms = [self.api.create_vm(f"shared{i}", self.image, strategy="CreateStopped") for i in range(4)]
        self.shared_vms = [SharedVm(vm["uuid"], vm["name"]) for vm in vms]
        self.shared_volumes = [self.api.post("/volumes/data", {"params": {"name": f"wanted{i}", "diskSize": 1 << 20}})["inventory"]["uuid"] for i in range(2)]
        self.ledger, self.ledger_of_volumes = Ledger(self.addresses), Ledger(self.shared_volumes)
        self.own = {path: {row["uuid"] for row in self.api.rows(path)} for path in ("/vm-instances", "/volumes")}
        self.mutex, self.macs, self.uuids = threading.Lock(), set(), set()

    def make_small_network(self):
        zone, cluster = self.api.rows("/zones")[0]["uuid"], self.api.rows("/clusters")[0]["uuid"]
        l2 = self.api.post("/l2-networks/no-vlan", {"params": {"name": "small", "zoneUuid": zone, "physicalInterface": "eth9"}})["inventory"]["uuid"]
        self.api.post(f"/l2-networks/{l2}/clusters/{cluster}", {"params": {}})
        l3 = self.api.post("/l3-networks", {"params": {"name": "small", "l2NetworkUuid": l2}})["inventory"]["uuid"]
        addresses = [f"{NETWORK}.{10 + i}" for i in range(SMALL_ADDRESSES)]
        self.api.post(f"/l3-networks/{l3}/ip-ranges", {"params": {"name": "small", "startIp": addresses[0], "endIp": addresses[-1], "netmask": "255.255.255.0", "gateway": NETWORK + ".1"}})
        return l3, addresses

    def seen(self, vm, mac, _):
        with self.mutex:
            require(vm not in self.uuids, f"the uuid {vm} was given twice")
            self.uuids.add(vm)
            if mac in self.macs:  # 32 random bits come again among this many; not while the other NIC is there
                owners = [nic["vmInstanceUuid"] for nic in self.api.rows("/vm-instances/nics", "mac=" + mac)]
                require(owners == [vm], f"the MAC {mac} was given to {owners}")
            self.macs.add(mac)

    def findings(self, clients):
        """What is there in the end, against all models together; addresses; invariants; garbage."""
        found = []
        for path in clients[0].model.everything():
            expected = {uuid: row for client in clients for uuid, row in client.model.everything()[path].items()}
            rows = {row["uuid"]: row for row in self.api.rows(path) if row["uuid"] not in self.own.get(path, ())}
            if set(rows) != set(expected):
                found.append(f"{path}: too many {sorted(set(rows) - set(expected))}, missing {sorted(set(expected) - set(rows))}")
            for uuid in set(rows) & set(expected):
                try:
                    require_row(expected[uuid], rows[uuid], path)
                except Mismatch as mismatch:
                    found.append(str(mismatch))
        nics = self.api.rows("/vm-instances/nics")
        for what in ("mac", "ip"):
            values = [nic[what] for nic in nics]
            if len(set(values)) != len(values):
                found.append(f"a {what} is there twice: {sorted(value for value in set(values) if values.count(value) > 1)}")
        leased = sorted(row["ip"] for row in self.api.rows("/l3-networks/ip-address"))
        if leased != sorted(nic["ip"] for nic in nics):
            found.append("the addresses that are taken are not those of the NICs")
        for shared in self.shared_vms:
            found += shared.findings()
        found += self.ledger.findings() + self.ledger_of_volumes.findings() + self.diagnosis()
        return found

    def diagnosis(self, patience=20):
        end = time.monotonic() + patience
        while True:
            doctor = self.api.get("/doctor")
            bad = [invariant for invariant in doctor["invariants"] if invariant["state"] == "violated"] + doctor["findings"]
            if not bad or time.monotonic() > end:
                return [f"doctor: {json.dumps(entry)}" for entry in bad]
            time.sleep(0.3)

    def close(self):
        self.server.teardown()
        remove_tree(self.directory)


class Client:
    """One connection, one model, one thread."""

    def __init__(self, world, number):
        self.world, self.model = world, Model(f"c{number}")
        self.connection = http.client.HTTPConnection("127.0.0.1", world.server.port, timeout=120)
        self.headers = {"Content-Type": "application/json", "Authorization": "OAuth " + world.api.session}
        self.history, self.counts, self.last_answer = [], {}, time.monotonic()

    def send(self, method, path, body=None, job=None):
        """(status, body) of a call that has ended; with `job`, its uuid, as soon as it is taken."""
        if time.monotonic() - self.last_answer > 20:  # the server closes what is idle for longer
            self.connection.close()
        headers = {**self.headers, "X-Job-UUID": job} if job else self.headers
        self.connection.request(method, "/zstack/v1" + path, None if body is None else json.dumps(body), headers)
        answer = self.connection.getresponse()
        text = json.loads(answer.read() or b"{}")
        self.last_answer = time.monotonic()
        if answer.status == 202 and not job:
            return self.ended("/api-jobs/" + text.get("location", path).rsplit("/", 1)[-1])
        return answer.status, text

    def ended(self, job):
        """(status, body) of a job when it has ended."""
        time.sleep(0.05)
        return self.send("GET", job)

    def call(self, method, path, body=None, refusal=None):
        """The answer; None if the call was refused as it should be."""
        status, answer = self.send(method, path, body)
        if refusal is None:
            require(status == 200, f"{method} {path}: HTTP {status} {answer}")
            return answer
        code = answer.get("error", {}).get("code")
        require(status != 200 and code == refusal, f"{method} {path}: HTTP {status} {answer}, not a refusal with {refusal}")
        return None

    def action(self, path, uuid, key, parameters, refusal=None):
        return self.call("PUT", f"{path}/{uuid}/actions", {key: parameters}, refusal)

    def rows(self, path, *conditions):
        return self.call("GET", path + "?" + "&".join("q=" + urllib.parse.quote(text) for text in conditions))["inventories"]

    # --- what several operations do

    def check_clones(self, result, made):
        names = [entry.get("inventory", {}).get("name") for entry in result["inventories"]]
        require(result["numberOfClonedVm"] == len(made) and names == [self.model.name(label) for label in made], f"clones {made}: {json.dumps(result)}")

    def made_clones(self, vm, made, full, strategy, tags, result):
        """Of a VM of the model, by a call that was accepted."""
        source = self.model.vms[vm]
        disks = [(disk.slot, disk.size) for disk in self.model.disks_of(vm)] if full else []
        self.check_clones(result, made)
        for label, entry in zip(made, result["inventories"]):
            clone = add_clone(self, label, entry["inventory"], strategy, disks, {"description": source.description, "link": source.link}, source.network)
            self.adopt_tags(clone.uuid, [f"tag{i}" for i in range(tags)])

    def adopt_tags(self, resource, texts):
        rows = self.rows("/user-tags", "resourceUuid=" + resource)
        require(sorted(row["tag"] for row in rows) == sorted(texts), f"tags {[row['tag'] for row in rows]}, not {texts}")
        self.model.tags |= {row["uuid"]: (resource, row["tag"]) for row in rows}

    def check_lease(self, vm, row):
        shown = row.get("leaseEndDate")
        require((shown is None) == (vm.lease is None), f"the lease of {vm.name} is {shown}")
        if shown:
            end = time.mktime(time.strptime(shown, "%b %d, %Y %I:%M:%S %p")) * 1000
            require(vm.lease[0] - 1500 <= end <= vm.lease[1] + 1500, f"the lease of {vm.name} ends at {shown}, not within {vm.lease}")

    def removed_vm(self, label):
        held = self.model.vms[label].held
        self.model.erase_vm(label)
        if held:
            held.release_answered = time.monotonic()

    # --- the history

    def perform(self, name, arguments):
        held = self.model.vms[arguments["vm"]].held if arguments.get("vm") in self.model.vms else None
        if held and name in ("destroy_vm", "expunge_vm") and held.release_called == float("inf"):
            held.release_called = time.monotonic()
        self.counts[name] = self.counts.get(name, 0) + 1
        try:
            OPERATIONS[name][2](self, **arguments)
        except KeyError as missing:
            if missing.args[0] in self.labels_in(arguments):  # of a thing whose making was left out when the history was shrunk
                return
            raise
        if held and held.release_answered == float("inf"):
            held.release_called = float("inf")  # it has its address still

    @staticmethod
    def labels_in(arguments):
        return {value for value in arguments.values() if isinstance(value, str)}

    def live(self, operations, generator, replayed, stop):
        """Draws operations, or plays `replayed`, until something is wrong."""
        for number in range(len(replayed) if replayed is not None else operations):
            if stop.is_set():
                return None
            name, arguments = replayed[number] if replayed is not None else choose_operation(self, generator)
            self.history.append((name, arguments))
            try:
                self.perform(name, arguments)
            except Mismatch as mismatch:
                stop.set()
                return f"{self.model.prefix}, operation {number} {name} {arguments}: {mismatch}"
            except Exception:  # noqa: BLE001 - shown with its place
                stop.set()
                return f"{self.model.prefix}, operation {number} {name} {arguments}: {traceback.format_exc()}"
        return None


def kept_file(seed, ending):
    """Where a failing history and its server's log are kept."""
    return pathlib.Path(tempfile.gettempdir()) / f"ramet-random-{seed}.{ending}"


def play(seed, operations, histories=None):
    """(findings, histories, calls by operation, seconds)"""
    world = World()
    count = CLIENTS if histories is None else len(histories)
    clients, findings, stop = [Client(world, number) for number in range(count)], [None] * count, threading.Event()
    try:

        def live(index):
            replayed = None if histories is None else histories[index]
            findings[index] = clients[index].live(operations // count, random.Random(seed * 1000 + index), replayed, stop)

        threads = [threading.Thread(target=live, args=(index,)) for index in range(count)]
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - begun
        findings = [finding for finding in findings if finding] or world.findings(clients)
        if findings and histories is None:
            shutil.copy(world.server.log, kept_file(seed, "log"))
        counts = {name: sum(client.counts.get(name, 0) for client in clients) for name in OPERATIONS}
        return findings, [client.history for client in clients], counts, seconds
    finally:
        for client in clients:
            client.connection.close()
        world.close()


def shrink(histories, seconds):
    """A shorter history that still fails: without whole clients first, then without ever smaller pieces of what is left."""
    end = time.monotonic() + seconds

    def fails(candidate):
        return time.monotonic() < end and bool(play(0, 0, candidate)[0])

    for index in reversed(range(len(histories))):
        without = histories[:index] + [[]] + histories[index + 1:]
        if fails(without):
            histories = without
    for index, history in enumerate(histories):
        piece = max(1, len(history) // 2)
        while piece and time.monotonic() < end:
            start = 0
            while start < len(history) and time.monotonic() < end:
                shorter = history[:start] + history[start + piece:]
                if fails(histories[:index] + [shorter] + histories[index + 1:]):
                    history = shorter
                    histories = histories[:index] + [shorter] + histories[index + 1:]
                else:
                    start += piece
            piece //= 2
    return histories


class RandomOperations(unittest.TestCase):
    def test_every_answer_is_what_the_model_says(self):
        operations, seed = int(os.environ.get("RAMET_OPERATIONS", 1_000_000 if NIGHTLY else 20_000)), int(os.environ.get("RAMET_SEED", time.time_ns() % 1_000_000 if NIGHTLY else 1))
        replay = os.environ.get("RAMET_REPLAY")
        histories = json.loads(pathlib.Path(replay).read_text()) if replay else None
        print(f"seed {seed}", flush=True)
        findings, histories, counts, seconds = play(seed, operations, histories)
        done = sum(counts.values())
        print(f"seed {seed}: {done} operations by {len(histories)} clients in {seconds:.1f} s ({done / max(seconds, 0.001):.0f}/s), {len(findings)} wrong")
        print(" ".join(f"{name}={count}" for name, count in counts.items()))
        if not findings:
            return
        print("\n".join(findings[:10]) + f"\nthe server's log: {kept_file(seed, 'log')}", flush=True)
        short = shrink(histories, float(os.environ.get("RAMET_SHRINK_SECONDS", 60)))
        kept = kept_file(seed, "json")
        kept.write_text(json.dumps(short))
        steps = "\n".join(f"  client {index}: {name} {arguments}" for index, history in enumerate(short) for name, arguments in history[-40:])
        self.fail(f"seed {seed}; {sum(map(len, short))} operations are left, RAMET_REPLAY={kept} plays them:\n{steps}\n" + "\n".join(findings[:10]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
