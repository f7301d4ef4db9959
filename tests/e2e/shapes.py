"""What the tests of instant clones of many shapes share: a source of a shape, and all that a clone must have of the instant and of its own."""
import os
import socket
import time
import typing

from frames import Sniffer
from instants import MIB, PRIVILEGED, InstantWorld
from support import WithWriter

# What each disk holds at the instant, in its second MiB; the writer counts in its first sector. A root disk has files for both.
MARK_AT = MIB
TOKEN = "head -c 8 /dev/urandom | md5sum | cut -c1-16 >/run/token; cat /run/token"
# On each processor, long enough for several ticks of its timer; says where it ran.
WORK = "i=0; while [ $i -lt 15000 ]; do i=$((i+1)); done; set -- $(cat /proc/$$/stat); echo ${39}"


class Shape(typing.NamedTuple):
    mode: str = "Legacy"
    processors: int = 1
    disks: int = 1
    nics: int = 1

    @property
    def name(self):
        return f"{self.mode.lower()}-{self.processors}{self.disks}{self.nics}"


class ShapesWorld(WithWriter, InstantWorld):
    """For each shape a source of its own."""

    patience = 120
    memory = {"Legacy": 128 * MIB, "UEFI": 256 * MIB}

    @classmethod
    def setUpClass(cls):
        if not os.path.exists("/usr/share/OVMF/OVMF_CODE_4M.fd"):
            cls.memory = {"Legacy": cls.memory["Legacy"]}
        super(InstantWorld, cls).setUpClass()  # without the one that counts
        cls.source = {"uuid": None}
        cls.networks = [cls.api.rows("/l3-networks", "name=default")[0]["uuid"], cls.another_network()]

    @classmethod
    def another_network(cls):
        """Of another wire: on one, a guest answers for the addresses of all its NICs by each. With addresses that no other test has."""
        zone, cluster = cls.api.rows("/zones")[0]["uuid"], cls.api.rows("/clusters")[0]["uuid"]
        l2 = cls.api.post("/l2-networks/no-vlan", {"params": {"name": "elsewhere", "zoneUuid": zone, "physicalInterface": "eth9"}})["inventory"]["uuid"]
        cls.api.post(f"/l2-networks/{l2}/clusters/{cluster}", {"params": {}})
        l3 = cls.api.post("/l3-networks", {"params": {"name": "elsewhere", "l2NetworkUuid": l2}})["inventory"]["uuid"]
        prefix = f"10.{100 + os.getpid() // 256 % 100}.{os.getpid() % 256}."
        params = {"name": "r", "startIp": prefix + "10", "endIp": prefix + "99", "netmask": "255.255.255.0", "gateway": prefix + "1"}
        cls.api.post(f"/l3-networks/{l3}/ip-ranges", {"params": params})
        return l3

    def tearDown(self):
        self.source = {"uuid": None}
        for vm in self.api.rows("/vm-instances"):
            self.expunge(vm["uuid"])
        for volume in self.api.rows("/volumes", "type=Data"):
            self.api.delete("/volumes/" + volume["uuid"])
            self.api.put(f"/volumes/{volume['uuid']}/actions", {"expungeDataVolume": {}})
        super().tearDown()

    def go_on(self, shape):
        """A machine of that shape, its clone with memory, and the clone after a reboot."""
        if shape.mode not in self.memory:
            self.skipTest("the firmware for UEFI is not installed")
        begun = time.monotonic()
        self.make_source(shape)
        booted = time.monotonic()
        token, disks = self.agent.run(TOKEN, self.patience), self.prepare_disks()
        sniffer = Sniffer() if PRIVILEGED else None
        (clone,), detail = self.clone(shape.name + "-c", full=True, patience=self.patience)
        guest = self.guest(clone)
        self.assertEqual(token, guest.run("cat /run/token", self.patience))
        self.write_marks(self.agent, disks, "later")
        self.is_whole(guest, clone, shape, disks)
        self.writer_goes_on(guest)
        self.writer_goes_on(self.agent)
        if sniffer:
            self.no_frame_of_the_source(sniffer.close(), [clone])
        checked = time.monotonic()
        self.api.action(self.source["uuid"], "stopVmInstance", type="cold")
        self.reboot(guest)
        self.agent = guest  # who knows the clone's devices
        self.is_whole(guest, clone, shape, self.devices_of(clone))
        self.assertEqual("", guest.run("cat /run/token 2>/dev/null; true", self.patience))
        print(f"\n  {shape.name}: {booted - begun:.0f} s until it was up, its clone's gate {detail['gate'][0]['gateMilliseconds'] / 1000:.1f} s, "
              f"{checked - booted:.0f} s until the clone was seen to be whole, "
              f"{time.monotonic() - checked:.0f} s until it was so after a reboot", flush=True)
        return clone, guest

    def make_source(self, shape):
        of_several = {"defaultL3NetworkUuid": self.networks[0]} if shape.nics > 1 else {}
        vm = self.api.create_vm(shape.name, self.image["uuid"], cpuNum=shape.processors, memorySize=self.memory[shape.mode],
                                systemTags=["bootMode::" + shape.mode], l3NetworkUuids=self.networks[:shape.nics], **of_several,
                                clusterUuid=self.api.rows("/clusters")[0]["uuid"], strategy="CreateStopped")
        for index in range(1, shape.disks):
            volume = self.api.post("/volumes/data", {"params": {"name": f"d{index}", "diskSize": 16 * MIB}})["inventory"]
            self.api.post(f"/volumes/{volume['uuid']}/vm-instances/{vm['uuid']}", {"params": {}})
        self.api.action(vm["uuid"], "startVmInstance")
        self.source = self.api.vm(vm["uuid"])
        self.agent = self.guest(vm)
        self.agent.call("guest-ping", self.patience)
        self.become(self.agent, self.source)

    def become(self, guest, vm):
        """The identity keeper of a VM that has booted comes a moment later."""
        end = time.monotonic() + self.patience
        while (seen := guest.run("hostname; cat /etc/machine-id", self.patience).split()) != [vm["name"], vm["uuid"]]:
            self.assertLess(time.monotonic(), end, f"{vm['name']} ({vm['uuid']}) is still {seen}")
            time.sleep(0.3)

    # --- disks

    def devices_of(self, vm):
        """In the order of their attachment."""
        data = sorted((volume for volume in vm["allVolumes"] if volume["type"] == "Data"), key=lambda volume: volume["deviceId"])
        devices = [self.device_of(volume) for volume in data]
        self.assertNotIn("", devices, vm["allVolumes"])
        return devices

    def prepare_disks(self):
        disks = self.devices_of(self.source)
        self.write_marks(self.agent, disks, "instant")
        type(self).agent = self.agent
        self.carry_writer()
        self.in_background(f"/run/writer instant /root/instant {' '.join(disks)} /run/instant")
        end = time.monotonic() + self.patience
        while not self.agent.run("cat /run/instant 2>/dev/null; true", self.patience):
            self.assertLess(time.monotonic(), end, "the guest does not begin to write")
            time.sleep(0.1)
        return disks

    def write_marks(self, guest, disks, word):
        script = f"echo {word}-0 >/root/mark; sync; "
        for index, disk in enumerate(disks, start=1):
            script += f"echo {word}-{index} | dd of={disk} bs=4096 seek={MARK_AT // 4096} conv=fsync 2>/dev/null; "
        guest.run(script, self.patience)

    def marks(self, guest, disks):
        """As the disks have them, not the memory."""
        script = "sync; echo 3 >/proc/sys/vm/drop_caches; cat /root/mark; "
        for disk in disks:
            script += f"dd if={disk} bs=4096 skip={MARK_AT // 4096} count=1 2>/dev/null | head -n 1; "
        return guest.run(script, self.patience).split()

    def writer_goes_on(self, guest):
        """It reads back what it wrote: memory and all disks are of one instant, and nobody else writes to them."""
        first, end = None, time.monotonic() + self.patience
        while True:
            number, other = (int(word) for word in guest.run("cat /run/instant", self.patience).split())
            self.assertGreater(number, 0, f"at number {-number} of its memory the guest read {other} from a disk")
            first = number if first is None else first
            if number >= first + 3:
                return
            self.assertLess(time.monotonic(), end, "the guest writes no more")
            time.sleep(0.1)

    # --- the whole machine

    def is_whole(self, guest, vm, shape, disks):
        self.become(guest, vm)
        self.assertEqual("efi" if shape.mode == "UEFI" else "", guest.run("[ -d /sys/firmware/efi ] && echo efi; true", self.patience))
        self.processors_run(guest, shape.processors)
        self.assertEqual((shape.disks, shape.disks - 1), (len(vm["allVolumes"]), len(disks)))
        self.assertEqual([f"instant-{index}" for index in range(shape.disks)], self.marks(guest, disks))
        self.nics_are_its_own(guest, vm, shape.nics)

    def processors_run(self, guest, count):
        """All are online, each does work and has its own timer."""
        self.assertEqual(f"0-{count - 1}" if count > 1 else "0", guest.run("cat /sys/devices/system/cpu/online", self.patience))
        before = self.ticks(guest)
        work = f"for cpu in {' '.join(map(str, range(count)))}; do taskset $(printf %x $((1 << cpu))) sh -c '{WORK}' & done; wait"
        ran_on = guest.run(work, self.patience)
        self.assertEqual(list(range(count)), sorted(map(int, ran_on.split())))
        after = self.ticks(guest)
        self.assertEqual([count, count], [len(before), len(after)])
        self.assertTrue(all(now > then for then, now in zip(before, after)), (before, after))

    def ticks(self, guest):
        """How often each processor's own timer has interrupted it."""
        return [int(word) for word in guest.run("grep LOC: /proc/interrupts", self.patience).split() if word.isdigit()]

    def nics_are_its_own(self, guest, vm, count):
        self.assertEqual(count, len(vm["vmNics"]))
        macs = guest.run("for nic in /sys/class/net/*; do [ ${nic##*/} = lo ] || cat $nic/address; done", self.patience).split()
        self.assertEqual(sorted(nic["mac"] for nic in vm["vmNics"]), sorted(macs))
        of_source = {value for nic in self.source["vmNics"] for value in (nic["mac"], nic["ip"])}
        end = time.monotonic() + self.patience
        for nic in vm["vmNics"]:
            self.assertFalse({nic["mac"], nic["ip"]} & of_source, (nic, of_source))
            while nic["ip"] + "/" not in (seen := guest.run("ip -4 -o address show scope global", self.patience)):
                self.assertLess(time.monotonic(), end, f"{nic['ip']} is not among {seen}")
                time.sleep(0.3)
        routes = [machine.run("ip -4 route show | grep ^default | cut -d' ' -f1-5", self.patience) for machine in (self.agent, guest)]
        self.assertEqual(*routes, "the default route is not as the source's")
        for nic in vm["vmNics"]:
            if PRIVILEGED:
                self.assertTrue(self.greets(nic["ip"]), f"{vm['name']} does not answer at {nic['ip']}")

    def greets(self, address):
        """Its SSH server."""
        end = time.monotonic() + self.patience
        while time.monotonic() < end:
            try:
                with socket.create_connection((address, 22), 5) as connection:
                    if connection.recv(4) == b"SSH-":
                        return True
            except OSError:
                pass
            time.sleep(0.1)
        return False

    def reboot(self, guest):
        """By the guest itself: its process goes on."""
        boot = "cat /proc/sys/kernel/random/boot_id"
        before = guest.run(boot, self.patience)
        guest.run("(sleep 0.5; reboot) >/dev/null 2>&1 </dev/null &", self.patience)
        end = time.monotonic() + self.patience
        while True:
            try:
                if guest.run(boot, 20) != before:
                    return
            except (RuntimeError, TimeoutError):  # it went down in the middle of the question
                pass
            self.assertLess(time.monotonic(), end, f"the guest has not booted in {self.patience} s")
            time.sleep(0.3)
