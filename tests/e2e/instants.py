"""What the tests of instant clones share: a source that counts, and clones with memory."""
import json
import os
import pathlib
import socket
import time

from frames import Identity, announces, faults_of
from support import Agent, ApiError, World

MIB = 1 << 20
# It waits in the shell's own `read`: a process for each step, in each clone, would be most of what an emulated machine has to do.
COUNTER = "mkfifo /run/never 2>/dev/null; (n=0; while :; do n=$((n+1)); echo $n >/run/count; read -t 0.05 nothing; done) <>/run/never >/dev/null 2>&1 & " \
          "echo $! >/run/counter.pid; head -c 8 /dev/urandom | md5sum | cut -c1-16 >/run/token"
COUNT = "until c=$(cat /run/count 2>/dev/null) && [ -n \"$c\" ]; do :; done; echo $c"  # a reader may meet the moment in which it is written
PRIVILEGED = os.geteuid() == 0 and os.path.exists("/dev/net/tun")


def translated_code(data_dir, vm):
    """Bytes of a running VM's process that hold what QEMU's TCG made of the guest's code: all that is both written and executed."""
    pid, size, code = (pathlib.Path(data_dir) / "run" / vm["uuid"] / "pid").read_text().split()[0], 0, False
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if "-" in words[0]:
            code = words[1].startswith("rwx")
        elif words[0] == "Private_Dirty:" and code:
            size += int(words[1]) * 1024
    return size


class InstantWorld(World):
    """A source that counts in its memory, and clones that go on from there."""

    source_arguments = {}
    memory_dir = None  # of the server, when it is not below its data directory

    jobs = 0

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = cls.api.create_vm("web01", cls.image["uuid"], **cls.source_arguments)
        cls.agent = Agent(cls.server.data_dir, cls.source["uuid"])
        cls.agent.call("guest-ping", 180)
        cls.agent.run(COUNTER)
        end = time.monotonic() + 30  # the identity keeper of a VM that has booted comes a moment later
        while cls.agent.run("hostname; cat /etc/machine-id").split() != ["web01", cls.source["uuid"]] and time.monotonic() < end:
            time.sleep(0.2)

    def tearDown(self):
        for vm in self.api.rows("/vm-instances"):
            if vm["uuid"] != self.source["uuid"]:
                self.expunge(vm["uuid"])
        self.assert_nothing_left_over()
        self.assertEqual([], self.images())

    def images(self):
        memory = pathlib.Path(self.memory_dir or self.server.data_dir / "memory")
        return list(memory.iterdir()) if memory.exists() else []

    def restart(self, **environment):
        self.server.stop()
        self.server.start(**environment)
        type(self).api = self.server.api()

    def begin(self, names, vm=None, checkpoint=None, **more):
        """Clones with memory; the job."""
        return self.begin_clones(f"/checkpoints/{checkpoint['uuid']}" if checkpoint else f"/vm-instances/{(vm or self.source)['uuid']}", names, **more)

    def begin_clones(self, source, names, **more):
        InstantWorld.jobs += 1
        uuid = f"{int(time.time() * 1000):012x}4{InstantWorld.jobs:03x}8{os.getpid() & 0xffffff:015x}"
        body = {"cloneVmInstance": {"names": list(names), "memory": True, **more}}
        status, text, _ = self.api.send("PUT", f"/zstack/v1{source}/actions", body, {"X-Job-UUID": uuid})
        self.assertEqual(202, status, text)
        return uuid

    def job(self, names, vm=None, patience=90, **more):
        """Clones with memory; (result, detail of the job)."""
        return self.end_of(self.begin(names, vm, **more), patience)

    def end_of(self, uuid, patience=90):
        end = time.monotonic() + patience
        while (answer := self.api.send("GET", "/zstack/v1/api-jobs/" + uuid))[0] == 202 and time.monotonic() < end:
            time.sleep(0.05)
        self.assertNotEqual(202, answer[0], f"the job has not ended in {patience} s")
        if answer[0] != 200:
            raise ApiError(answer[0], answer[1])
        return json.loads(answer[1])["result"], self.api.get("/jobs/" + uuid).get("detail", {})

    def clone(self, *names, **more):
        result, detail = self.job(names, **more)
        self.assertEqual(len(names), result["numberOfClonedVm"], result)
        return [entry["inventory"] for entry in result["inventories"]], detail

    def guest(self, vm):
        return Agent(self.server.data_dir, vm["uuid"])

    def ask_machine(self, vm, command):
        """By QEMU's second monitor: the first one is the server's."""
        folder = os.open(pathlib.Path(self.server.data_dir) / "run" / vm["uuid"], os.O_RDONLY)
        try:
            with socket.socket(socket.AF_UNIX) as monitor:
                monitor.settimeout(30)
                monitor.connect(f"/proc/self/fd/{folder}/guard.sock")
                stream = monitor.makefile("rwb")
                for line in ("qmp_capabilities", command):
                    stream.write(json.dumps({"execute": line}).encode() + b"\n")
                    stream.flush()
                    while "return" not in (answer := json.loads(stream.readline())):
                        self.assertNotIn("error", answer)
                return answer["return"]
        finally:
            os.close(folder)

    def own_generation_id(self, vm):
        """As the machine has it, which is what the report says, and not the source's."""
        own = self.ask_machine(vm, "query-vm-generation-id")["guid"]
        fact = next(fact for fact in self.api.get(f"/vm-instances/{vm['uuid']}/identity")["facts"] if fact["identifier"] == "vm-generation-id")
        self.assertEqual(("new", own), (fact["state"], fact["newValue"]))
        self.assertNotEqual(own, fact.get("oldValue"))
        return own

    def counts_on(self, guest, from_count):
        first = int(guest.run(COUNT, 60))
        self.assertGreaterEqual(first, from_count)
        end = time.monotonic() + 10
        while int(guest.run(COUNT)) == first and time.monotonic() < end:
            time.sleep(0.1)
        self.assertGreater(int(guest.run(COUNT)), first)

    def answers(self, address, patience=30):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            try:
                with socket.create_connection((address, 7), 1) as connection:  # the guest's echo service
                    connection.sendall(b"hello\n")
                    return connection.recv(100) == b"hello\n"
            except OSError:
                time.sleep(0.05)
        return False

    def no_frame_of_the_source(self, caught, clones):
        """And every link was announced, with the MAC that is the clone's own."""
        taps = {row["uuid"]: row["internalName"] for row in self.api.rows("/vm-instances/nics")}
        sources = {nic["deviceId"]: Identity(nic["mac"], nic["ip"], self.source["name"]) for nic in self.source["vmNics"]}
        nics = {taps[nic["uuid"]]: (Identity(nic["mac"], nic["ip"], vm["name"]), sources[nic["deviceId"]]) for vm in clones for nic in vm["vmNics"]}
        sent = [(*nics[tap], frame) for tap, frame in caught if tap in nics]
        faults = [f"{own.name} ({own.mac} {own.ip}, of the source's {source.mac} {source.ip}): {fault}" for own, source, frame in sent for fault in faults_of(frame, own, source)]
        self.assertEqual([], faults)
        announced = {own.mac for own, _, frame in sent if announces(frame, own.mac)}
        self.assertEqual({own.mac for own, _ in nics.values()}, announced)

    def wait_for_boot(self, guest, patience=90):
        """Until nothing of the source's memory is left in the guest."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            try:
                if guest.run("[ -e /run/token ]; echo $?", 20) == "1":
                    return
            except (RuntimeError, TimeoutError):  # it went down in the middle of the question
                pass
            time.sleep(0.3)
        self.fail(f"the guest has not booted in {patience} s")


class KeptWorld(InstantWorld):
    """The same with checkpoints of the source's memory."""

    def tearDown(self):
        for checkpoint in self.api.rows("/checkpoints"):
            self.api.delete("/checkpoints/" + checkpoint["uuid"])
        super().tearDown()

    def keep(self, name="warm", **more):
        return self.api.post(f"/vm-instances/{self.source['uuid']}/checkpoints", {"params": {"name": name, "memory": True, **more}})["inventory"]

    def clones_of(self, checkpoint, *names, **more):
        body = {"cloneVmInstance": {"names": list(names), "memory": True, **more}}
        result = self.api.put(f"/checkpoints/{checkpoint['uuid']}/actions", body)["result"]
        self.assertEqual(len(names), result["numberOfClonedVm"], result)
        return [entry["inventory"] for entry in result["inventories"]]

    def ready(self):
        """Processes that wait for a clone."""
        run, found = str(pathlib.Path(self.server.data_dir) / "run") + "/ready-", []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(entry / "cwd").startswith(run):
                    found.append(int(entry.name))
            except OSError:
                pass
        return found

    def wait_for_ready(self, count, patience=30):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            found = self.ready()
            # One that waits has its pid file: it has been made as a whole.
            if len(found) == count and all(os.path.exists(f"/proc/{pid}/cwd/pid") for pid in found):
                time.sleep(0.5)  # until the server has taken note of it
                return found
            time.sleep(0.1)
        self.fail(f"{self.ready()} wait, not {count}: {self.server.log_tail()}")
