"""UEFI and TPM on real guests: each clone has firmware state of its own, and the TPM's policy is kept."""
import base64
import os
import pathlib
import time
import unittest

from support import Agent, World

MIB = 1 << 20
UEFI = 256 * MIB
NV_INDEX = 0x01500020
NO_SESSIONS, SESSIONS, PASSWORD = 0x8001, 0x8002, 0x40000009
OWNER = 0x40000001


def command(code, *parts, tag=SESSIONS):
    body = b"".join(part if isinstance(part, bytes) else part[0].to_bytes(part[1], "big") for part in parts)
    return tag.to_bytes(2, "big") + (10 + len(body)).to_bytes(4, "big") + code.to_bytes(4, "big") + body


def authorised():
    """An empty password session."""
    return (9, 4), (PASSWORD, 4), (0, 2), b"\0", (0, 2)


def sized(data):
    return len(data).to_bytes(2, "big") + data


# TPM 2.0 library, part 3: NV_DefineSpace, NV_Write, NV_Read. Owner and index have empty passwords.
def define(size):
    public = NV_INDEX.to_bytes(4, "big") + (0x000B).to_bytes(2, "big") + (0x00040004).to_bytes(4, "big") + sized(b"") + size.to_bytes(2, "big")
    return command(0x12A, (OWNER, 4), *authorised(), sized(b""), sized(public))


def write(data):
    return command(0x137, (NV_INDEX, 4), (NV_INDEX, 4), *authorised(), sized(data), (0, 2))


def read(size):
    return command(0x14E, (NV_INDEX, 4), (NV_INDEX, 4), *authorised(), (size, 2), (0, 2))


def ask_tpm(guest, request, patience=60):
    """Sends one command to the guest's TPM device; returns the response code and the response."""
    octets = "".join(f"\\{byte:03o}" for byte in request)  # octal: what every shell's printf knows
    # One process at a time may have the device open, and the one before may not have let go of it yet.
    talk = f"{{ printf '{octets}' >&3 && dd bs=4096 count=1 <&3 | base64; }} 3<>/dev/tpm0"
    answer = guest.run(f"tries=100; until {talk}; do tries=$((tries-1)); [ $tries -gt 0 ] || exit 1; sleep 0.1; done", patience)
    answer = base64.b64decode(answer)
    if len(answer) < 10:
        raise RuntimeError(f"the TPM answered {answer!r}")
    return int.from_bytes(answer[6:10], "big"), answer


class Firmware(World):
    @classmethod
    def setUpClass(cls):
        for program in ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/bin/swtpm"):
            if not os.path.exists(program):
                raise unittest.SkipTest(f"{program} is not installed")
        super().setUpClass()
        cls.firmware = pathlib.Path(cls.server.data_dir) / "firmware"

    def tearDown(self):
        self.expunge_all()
        self.assert_nothing_left_over()
        self.assertEqual([], list(self.firmware.glob("*")))
        self.assertEqual([], self.tpm_processes())

    def create(self, name, *tags, memory=UEFI, **more):
        return self.api.create_vm(name, self.image["uuid"], memorySize=memory, systemTags=list(tags), **more)

    def clone(self, source, *names, **more):
        entries = self.api.clone(source["uuid"], list(names), **more)["inventories"]
        for entry in entries:
            self.assertIn("inventory", entry, entry)
        return [entry["inventory"] for entry in entries]

    def guest(self, vm, patience=300):  # UEFI boots slowly under TCG, and other tests run beside
        agent = Agent(self.server.data_dir, vm["uuid"])
        agent.call("guest-ping", patience)
        return agent

    def tpm_processes(self):
        run = str(pathlib.Path(self.server.data_dir) / "run")
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if (entry / "comm").read_text().strip() == "swtpm" and os.readlink(entry / "cwd").startswith(run):
                    found.append(int(entry.name))
            except OSError:
                pass
        return found

    def vars(self, vm):
        return (self.firmware / vm["uuid"] / "vars.fd").read_bytes()

    def assert_uefi(self, guest):
        self.assertEqual("efi", guest.run("[ -d /sys/firmware/efi ] && echo efi; true"))

    def test_uefi_guests_and_their_clones_have_variables_of_their_own(self):
        source = self.create("uefi", "bootMode::UEFI")
        guest = self.guest(source)
        self.assert_uefi(guest)
        template = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.fd").read_bytes()
        self.assertNotEqual(template, self.vars(source), "the firmware has written its boot entries")
        running = self.clone(source, "of-running", strategy="CreateStopped")[0]
        self.assertEqual(self.vars(source), self.vars(running), "a copy of the source's at the capture")
        self.api.action(source["uuid"], "stopVmInstance", type="cold")
        stopped = self.clone(source, "of-stopped")[0]
        self.api.action(running["uuid"], "startVmInstance")
        for vm in (running, stopped):
            self.assert_uefi(self.guest(vm))
        self.assertEqual(3, len({(self.firmware / vm["uuid"] / "vars.fd").stat().st_ino for vm in (source, running, stopped)}))
        maps = [os.readlink(f"/proc/{self.pid(vm)}/fd/{fd}") for vm in (running, stopped) for fd in os.listdir(f"/proc/{self.pid(vm)}/fd") if self.is_vars(vm, fd)]
        self.assertEqual(2, len(set(maps)), maps)

    def pid(self, vm):
        return (pathlib.Path(self.server.data_dir) / "run" / vm["uuid"] / "pid").read_text().split()[0]

    def is_vars(self, vm, fd):
        try:
            return os.readlink(f"/proc/{self.pid(vm)}/fd/{fd}").endswith("/vars.fd")
        except OSError:
            return False

    def test_boot_modes_are_set_and_refused_with_a_reason(self):
        self.refused("SYS.1007", "256 MiB", call=lambda: self.create("small", "bootMode::UEFI", memory=128 * MIB))
        self.refused("SYS.1014", "CSM", call=lambda: self.create("csm", "bootMode::UEFI_WITH_CSM"))
        self.refused("SYS.1007", "copy or new", call=lambda: self.create("policy", "tpmPolicy::sometimes"))
        vm = self.create("later", strategy="CreateStopped")
        self.api.action(vm["uuid"], "setVmBootMode", bootMode="UEFI")
        self.assertEqual(["bootMode::UEFI"], [tag["tag"] for tag in self.api.rows("/system-tags", "resourceUuid=" + vm["uuid"])])
        self.api.delete(f"/vm-instances/{vm['uuid']}/bootmode")
        self.assertEqual([], self.api.rows("/system-tags", "resourceUuid=" + vm["uuid"]))
        self.api.put(f"/images/{self.image['uuid']}/actions", {"setImageBootMode": {"bootMode": "UEFI"}})
        try:
            heir = self.create("heir", strategy="CreateStopped")
            self.assertEqual(["bootMode::UEFI"], [tag["tag"] for tag in self.api.rows("/system-tags", "resourceUuid=" + heir["uuid"])])
        finally:
            self.api.put(f"/images/{self.image['uuid']}/actions", {"setImageBootMode": {"bootMode": "Legacy"}})

    def test_a_copied_tpm_knows_what_the_source_s_did_and_a_new_one_does_not(self):
        source = self.create("secret", "tpm::2.0", memory=128 * MIB)
        guest = self.guest(source)
        self.assertEqual(0, ask_tpm(guest, define(8))[0])
        self.assertEqual(0, ask_tpm(guest, write(b"a secret"))[0])
        self.refused("SYS.1007", "tpmPolicy", call=lambda: self.clone(source, "undecided"))
        copied = self.clone(source, "copied", systemTags=["tpmPolicy::copy"])[0]
        fresh = self.clone(source, "fresh", systemTags=["tpmPolicy::new"])[0]
        code, answer = ask_tpm(self.guest(copied), read(8))
        self.assertEqual((0, True), (code, b"a secret" in answer))
        code, answer = ask_tpm(self.guest(fresh), read(8))
        self.assertNotEqual(0, code)
        self.assertNotIn(b"a secret", answer)
        states = {(self.firmware / vm["uuid"] / "tpm/tpm2-00.permall").read_bytes() for vm in (source, copied, fresh)}
        self.assertEqual(3, len(states), "each TPM goes on by itself")
        self.assertEqual(0, ask_tpm(guest, read(8))[0], "the source's is as before")
        self.assertNotIn("tpmPolicy", str(self.api.rows("/system-tags")))
        group = self.api.post("/volume-snapshots/group", {"params": {"rootVolumeUuid": source["rootVolumeUuid"], "name": "disks"}})["inventory"]["uuid"]
        self.refused("SYS.1006", "tpmPolicy::copy", "checkpoint", call=lambda: self.clone(source, "no", volumeSnapshotGroupUuid=group, systemTags=["tpmPolicy::copy"]))
        self.refused("SYS.1007", "tpmPolicy", call=lambda: self.clone(source, "undecided", volumeSnapshotGroupUuid=group))
        self.clone(source, "of-disks", volumeSnapshotGroupUuid=group, systemTags=["tpmPolicy::new"], strategy="CreateStopped")
        self.api.delete("/volume-snapshots/group/" + group)

    def test_clones_with_memory_have_the_firmware_state_of_that_instant(self):
        source = self.create("warm", "bootMode::UEFI", "tpm::2.0")
        guest = self.guest(source)
        self.assert_uefi(guest)
        self.assertEqual(0, ask_tpm(guest, define(8))[0])
        self.assertEqual(0, ask_tpm(guest, write(b"a secret"))[0])
        guest.run("echo here >/run/token")
        self.refused("SYS.1006", "tpmPolicy::copy", call=lambda: self.clone(source, "no", memory=True, systemTags=["tpmPolicy::new"]))
        checkpoint = self.api.post(f"/vm-instances/{source['uuid']}/checkpoints", {"params": {"name": "kept", "memory": True}})["inventory"]
        kept = self.vars(source)
        self.assertEqual(0, ask_tpm(guest, write(b"changed!"))[0])
        clones = {"a secret": [], "changed!": self.clone(source, "now", memory=True, systemTags=["tpmPolicy::copy"])}
        self.expunge(source["uuid"])
        for name, memory in (("then", True), ("booted", False)):
            body = {"cloneVmInstance": {"names": [name], "memory": memory, "systemTags": ["tpmPolicy::copy"]}}
            entry = self.api.put(f"/checkpoints/{checkpoint['uuid']}/actions", body)["result"]["inventories"][0]
            self.assertIn("inventory", entry, entry)
            clones["a secret"].append(entry["inventory"])
            self.assertEqual(kept, self.vars(entry["inventory"]) if memory else kept)
        for secret, vms in clones.items():
            for vm in vms:
                guest = self.guest(vm)
                self.assertEqual("efi" if vm["name"] == "booted" else "efi here", " ".join(guest.run("[ -d /sys/firmware/efi ] && echo efi; cat /run/token 2>/dev/null; true").split()))
                code, answer = ask_tpm(guest, read(8))
                self.assertEqual((0, True), (code, secret.encode() in answer), vm["name"])
        then = clones["a secret"][0]
        guest = self.guest(then)
        self.assertEqual(0, ask_tpm(guest, write(b"my own!!"))[0])
        self.api.action(then["uuid"], "stopVmInstance", type="cold")
        self.api.action(then["uuid"], "startVmInstance")
        guest = self.guest(then)
        self.assert_uefi(guest)
        self.assertIn(b"my own!!", ask_tpm(guest, read(8))[1])

    def test_a_group_with_memory_takes_uefi_variables_and_the_tpm_back(self):
        vm = self.create("back", "bootMode::UEFI", "tpm::2.0")
        guest = self.guest(vm)
        self.assertEqual(0, ask_tpm(guest, define(8))[0])
        self.assertEqual(0, ask_tpm(guest, write(b"a secret"))[0])
        guest.run("echo here >/run/token")
        kept = self.vars(vm)
        params = {"rootVolumeUuid": vm["rootVolumeUuid"], "name": "kept", "withMemory": True}
        group = self.api.post("/volume-snapshots/group", {"params": params})["inventory"]["uuid"]
        self.assertEqual(0, ask_tpm(guest, write(b"changed!"))[0])
        self.api.action(vm["uuid"], "stopVmInstance", type="cold")
        variables = self.firmware / vm["uuid"] / "vars.fd"
        with variables.open("r+b") as file:  # as if the guest had written one since
            file.seek(-1, os.SEEK_END)
            file.write(b"\x55")
        self.api.put(f"/volume-snapshots/group/{group}/actions", {"revertVmFromSnapshotGroup": {}})
        guest = self.guest(vm)
        self.assertEqual("here", guest.run("cat /run/token"))
        self.assertIn(b"a secret", ask_tpm(guest, read(8))[1])
        self.assertEqual(kept, self.vars(vm))
        self.assertEqual([vm["uuid"]], [entry.name for entry in self.firmware.glob("*")])
        self.api.action(vm["uuid"], "stopVmInstance", type="cold")
        self.api.action(vm["uuid"], "startVmInstance")
        guest = self.guest(vm)
        self.assert_uefi(guest)
        self.assertIn(b"a secret", ask_tpm(guest, read(8))[1])
        self.api.delete("/volume-snapshots/group/" + group)

    def test_a_tpm_outlives_the_server_ends_with_its_vm_and_its_crash_is_seen(self):
        vm = self.create("lasting", "tpm::2.0", memory=128 * MIB)
        guest = self.guest(vm)
        self.assertEqual(0, ask_tpm(guest, define(8))[0])
        before = self.tpm_processes()
        self.assertEqual(1, len(before))
        owner = os.stat(f"/proc/{before[0]}").st_uid
        self.assertEqual(os.geteuid() == 0, owner != 0)
        self.server.stop()
        self.server.start()
        type(self).api = self.server.api()
        self.assertEqual(before, self.tpm_processes())
        self.assertEqual(0, ask_tpm(guest, write(b"a secret"))[0])
        self.assertEqual([], self.doctor())
        os.kill(before[0], 9)
        end = time.monotonic() + 10
        while not (found := self.doctor()) and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual([{"kind": "VM without its TPM process", "what": vm["uuid"]}], found)
        end = time.monotonic() + 10
        while "the process of its TPM has ended" not in self.server.log_tail() and time.monotonic() < end:
            time.sleep(0.1)
        self.assertIn("the process of its TPM has ended", self.server.log_tail())
        self.api.action(vm["uuid"], "stopVmInstance", type="cold")
        self.api.action(vm["uuid"], "startVmInstance")
        guest = self.guest(vm)
        code, answer = ask_tpm(guest, read(8))
        self.assertEqual((0, True), (code, b"a secret" in answer))
        self.api.action(vm["uuid"], "stopVmInstance", type="cold")
        self.assertEqual([], self.tpm_processes())


if __name__ == "__main__":
    unittest.main(verbosity=2)
