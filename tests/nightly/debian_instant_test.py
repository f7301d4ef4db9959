"""Instant clones of a Debian guest whose PostgreSQL is in the middle of a transaction, BIOS and UEFI. RAMET_CLONES sets how many clones (4)."""
import os
import pathlib
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from frames import Sniffer  # noqa: E402
from instants import PRIVILEGED, InstantWorld  # noqa: E402
from support import Agent  # noqa: E402

DEBIAN = pathlib.Path(os.environ.get("RAMET_DEBIAN_IMAGE", ROOT / "build/guest/debian.qcow2"))
CLONES = int(os.environ.get("RAMET_CLONES", "4"))
AT_ONCE = max(1, len(os.sched_getaffinity(0)))
DAY = 24 * 3600
PATIENCE = 900  # a guest under emulation takes 40 s of a core to its agent, and a machine may have more to do
# A database, and a client that is given its statements one by one by a FIFO that stays open.
PREPARE = """set -e
install -d -o postgres /run/db && cd /run/db
su postgres -c "/usr/lib/postgresql/15/bin/initdb -D /var/lib/postgresql/test -A trust --no-locale -N"
su postgres -c "/usr/lib/postgresql/15/bin/pg_ctl -D /var/lib/postgresql/test -o '-k /run/db -h \\"\\"' -l /run/db/log -w -t 600 start" >/dev/null 2>&1 </dev/null
su postgres -c "psql -qh /run/db -c 'CREATE TABLE line (text TEXT)'"
su postgres -c "mkfifo sql"
sleep infinity >sql 2>/dev/null </dev/null &
su postgres -c "psql -qAth /run/db <sql >out 2>&1" >/dev/null 2>&1 </dev/null &
"""
VALUES = "hostname; cat /etc/machine-id; ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2; cat /sys/class/net/e*/address; " \
         "ip -4 -o address show scope global | sed 's/.* inet //; s,/.*,,'; head -c 4096 /dev/urandom | md5sum | cut -c1-32"


class Debian(InstantWorld):
    @classmethod
    def setUpClass(cls):
        if not DEBIAN.exists():
            raise unittest.SkipTest(f"{DEBIAN} is not there; build it with ./dev guest debian")
        super(InstantWorld, cls).setUpClass()  # without the small guest that counts
        cls.debian = cls.api.add_image(DEBIAN, "debian")
        cls.source = {"uuid": None}

    def tearDown(self):
        for checkpoint in self.api.rows("/checkpoints"):
            self.api.delete("/checkpoints/" + checkpoint["uuid"])
        self.source = {"uuid": None}
        super().tearDown()

    def ask(self, guest, sql):
        """The client's answer, a line that begins with `answer`."""
        known = int(guest.run("grep -c ^answer /run/db/out || :", PATIENCE))
        guest.run(f'echo "{sql}" >/run/db/sql', PATIENCE)
        end = time.monotonic() + PATIENCE
        while int(guest.run("grep -c ^answer /run/db/out || :", PATIENCE)) == known:
            self.assertLess(time.monotonic(), end, guest.run("cat /run/db/out", PATIENCE))
            time.sleep(0.2)
        return guest.run("grep ^answer /run/db/out | tail -n 1", PATIENCE)

    def lines(self, guest):
        """What another client of the same database sees."""
        return guest.run("su postgres -c \"psql -qAth /run/db -c 'SELECT text FROM line ORDER BY text'\"", PATIENCE).split("\n")

    def go_on(self, mode):
        self.source = self.api.create_vm("debian", self.debian["uuid"], memorySize=1 << 30, systemTags=["bootMode::" + mode])
        guest = self.guest(self.source)
        guest.call("guest-ping", PATIENCE)
        guest.run("cloud-init status --wait >/dev/null || :", PATIENCE)
        guest.run(PREPARE, PATIENCE)
        backend = self.ask(guest, "BEGIN; INSERT INTO line VALUES ('before'); SELECT 'answer', pg_backend_pid(), pg_current_xact_id();")
        of_source = guest.run(VALUES, PATIENCE).split()
        # As if the capture were a day old.
        guest.run(f"date -u -s @$(($(date +%s)-{DAY}))", PATIENCE)
        try:
            checkpoint = self.api.post(f"/vm-instances/{self.source['uuid']}/checkpoints", {"params": {"name": "old", "memory": True}})["inventory"]
        finally:
            guest.run(f"date -u -s @$(($(date +%s)+{DAY}))", PATIENCE)
        seen, errors = [{value} for value in of_source], []
        for first in range(0, CLONES, AT_ONCE):
            names = [f"{mode.lower()}-{index}" for index in range(first, min(first + AT_ONCE, CLONES))]
            sniffer = Sniffer() if PRIVILEGED else None
            result = self.api.put(f"/checkpoints/{checkpoint['uuid']}/actions", {"cloneVmInstance": {"names": names, "memory": True}})["result"]
            self.assertEqual(len(names), result["numberOfClonedVm"], result)
            clones = [entry["inventory"] for entry in result["inventories"]]
            for vm in clones:
                errors.append(self.check(vm, backend, seen))
            if sniffer:
                self.no_frame_of_the_source(sniffer.close(), clones)
            for vm in clones:
                self.expunge(vm["uuid"])
        own = [seen[index] for index in (0, 1, 2, 5)]  # addresses are given again to the next clones
        self.assertEqual([CLONES + 1] * 4, [len(values) for values in own], own)
        print(f"\n  {mode}: the transaction went on in {CLONES} clones; their clocks wrong by {max(errors) * 1000:.0f} ms at most")
        self.assertLess(max(errors), 0.5)
        self.assertEqual([""], self.lines(guest), "the source's transaction is still open")
        self.assertEqual(backend, self.ask(guest, "SELECT 'answer', pg_backend_pid(), pg_current_xact_id(); COMMIT;"))
        self.assertEqual(["before"], self.lines(guest))
        self.api.delete("/checkpoints/" + checkpoint["uuid"])

    def check(self, vm, backend, seen):
        """The seconds by which the clone's clock is wrong."""
        guest = self.guest(vm)
        asked = time.time()
        told = guest.call("guest-get-time", PATIENCE) / 1e9
        error = max(asked - told, told - time.time(), 0.0)
        values = guest.run(VALUES, PATIENCE).split()
        nic = vm["vmNics"][0]
        self.assertEqual([vm["name"], vm["uuid"], nic["mac"], nic["ip"]], [*values[:2], *values[3:5]])
        for known, value in zip(seen, values):
            known.add(value)
        self.assertEqual(backend, self.ask(guest, f"INSERT INTO line VALUES ('after {vm['name']}'); SELECT 'answer', pg_backend_pid(), pg_current_xact_id(); COMMIT;"))
        self.assertEqual(["after " + vm["name"], "before"], self.lines(guest))
        return error

    def test_a_clone_of_a_first_boot_has_names_of_its_own_when_that_is_over(self):
        self.source = self.api.create_vm("booting", self.debian["uuid"], memorySize=1 << 30)
        guest, is_over = self.guest(self.source), "[ -e /run/cloud-init/result.json ] && echo over || echo on"
        guest.call("guest-ping", PATIENCE)
        if guest.run(is_over, PATIENCE) == "over":
            self.skipTest("the agent came up when cloud-init had ended")
        result = self.api.put(f"/vm-instances/{self.source['uuid']}/actions", {"cloneVmInstance": {"names": ["fork"], "memory": True}})["result"]
        clone = result["inventories"][0]["inventory"]
        guest = self.guest(clone)
        was = guest.run(is_over, PATIENCE)
        guest.run("cloud-init status --wait >/dev/null || :; end=120; while [ -e /run/ramet-first-boot ] && [ $end -gt 0 ]; do end=$((end-1)); sleep 1; done", PATIENCE)
        self.assertEqual(["fork", "fork", clone["uuid"]], guest.run("hostname; cat /etc/hostname /etc/machine-id", PATIENCE).split())
        print(f"\n  cloud-init was {was} in the clone when its call ended")

    def test_a_transaction_goes_on_in_every_clone(self):
        self.go_on("Legacy")

    def test_a_transaction_goes_on_in_every_clone_of_a_uefi_machine(self):
        self.go_on("UEFI")


if __name__ == "__main__":
    unittest.main(verbosity=2)
