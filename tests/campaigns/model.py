"""What the API should answer: VMs, volumes, snapshots, checkpoints and tags of one client, as a sequential model without any cleverness of
the server. Objects have labels (`v3`), so that a history of operations can be played again on another server, where uuids differ."""
import dataclasses
from typing import Optional

FAILED, INVALID, ATTACH_FAILED, DETACH_FAILED, NOT_FOUND = "SYS.1006", "SYS.1007", "VM.1005", "VM.1006", "SYS.1003"
NO_ADDRESS, CANCELLED, WRONG_STATE = "L3.1000", "SYS.1017", "VM.1010"


class Mismatch(Exception):
    """The server answered what the model says it cannot."""


@dataclasses.dataclass
class Vm:
    label: str
    uuid: str
    name: str
    state: str
    root: str  # label of its volume
    network: str
    nic: str
    ip: str
    mac: str
    description: Optional[str] = None
    link: str = "enable"
    host_name: Optional[str] = None
    lease: Optional[tuple] = None  # its end is between these two, in milliseconds
    held: object = None  # the address, where clients compete for it


@dataclasses.dataclass
class Volume:
    label: str
    uuid: str
    name: str
    size: int
    kind: str
    status: str
    vm: Optional[str] = None
    slot: Optional[int] = None
    state: str = "Enabled"


@dataclasses.dataclass
class Snapshot:
    label: str
    uuid: str
    name: str
    volume: str
    parent: Optional[str]
    latest: bool
    group: Optional[str] = None


@dataclasses.dataclass
class Group:
    label: str
    uuid: str
    name: str
    vm: str
    volumes: dict  # label: slot, as it was
    whole: bool = True  # none of its snapshots was deleted


@dataclasses.dataclass
class Checkpoint:
    label: str
    uuid: str
    name: str
    vm: str
    disks: list  # sizes of its data volumes
    settings: dict  # of the VM when it was kept


class Model:
    def __init__(self, prefix):
        self.prefix, self.count = prefix, 0
        self.vms, self.volumes, self.snapshots, self.groups, self.checkpoints = {}, {}, {}, {}, {}
        self.tags = {}  # uuid of the tag: (uuid of its resource, text)
        self.gone = {}  # label: uuid of VMs that were removed

    def label(self, letter):
        self.count += 1
        return f"{letter}{self.count}"

    def name(self, label):
        return f"{self.prefix}-{label}"

    # --- what follows from what

    def disks_of(self, vm):
        """The data volumes of a VM by their slots."""
        return sorted((volume for volume in self.volumes.values() if volume.vm == vm and volume.kind == "Data"), key=lambda volume: volume.slot)

    def free_slot(self, vm):
        used = {volume.slot for volume in self.disks_of(vm)}
        return next(slot for slot in range(1, 100) if slot not in used)

    def snapshots_of(self, volume):
        return [snapshot for snapshot in self.snapshots.values() if snapshot.volume == volume]

    def latest_of(self, volume):
        return next((snapshot for snapshot in self.snapshots_of(volume) if snapshot.latest), None)

    def distance(self, snapshot):
        return 1 if snapshot.parent is None else 1 + self.distance(self.snapshots[snapshot.parent])

    def may_be_cut(self, volume):
        return volume.status == "Ready" and (volume.vm is None or self.vms[volume.vm].state == "Stopped")

    def obstacle(self, group):
        attached = {self.vms[group.vm].root} | {volume.label for volume in self.disks_of(group.vm)}
        return not group.whole or set(group.volumes) != attached

    # --- what changes

    def forget_tags(self, uuid):
        self.tags = {tag: entry for tag, entry in self.tags.items() if entry[0] != uuid}

    def detach(self, volume):
        volume.vm = volume.slot = None

    def add_snapshot(self, label, uuid, name, volume, group=None):
        parent = self.latest_of(volume)
        if parent:
            parent.latest = False
        self.snapshots[label] = Snapshot(label, uuid, name, volume, parent.label if parent else None, True, group)

    def erase_snapshot(self, label):
        """Its children, and being the latest, go to its parent."""
        gone = self.snapshots.pop(label)
        for child in self.snapshots.values():
            if child.parent == label:
                child.parent = gone.parent
        if gone.latest and gone.parent:
            self.snapshots[gone.parent].latest = True
        self.leave_group(gone)

    def leave_group(self, snapshot):
        if snapshot.group is None:
            return
        if any(other.group == snapshot.group for other in self.snapshots.values()):
            self.groups[snapshot.group].whole = False
        else:
            self.dissolve(snapshot.group)

    def dissolve(self, group):
        for snapshot in self.snapshots.values():
            if snapshot.group == group:
                snapshot.group = None
        del self.groups[group]

    def make_latest(self, snapshot):
        before = self.latest_of(snapshot.volume)
        if before:
            before.latest = False
        snapshot.latest = True

    def erase_volume(self, label):
        self.forget_tags(self.volumes[label].uuid)
        snapshots = self.snapshots_of(label)
        for snapshot in snapshots:
            del self.snapshots[snapshot.label]
        for snapshot in snapshots:
            self.leave_group(snapshot)
        del self.volumes[label]

    def erase_vm(self, label):
        vm = self.vms[label]
        for volume in self.disks_of(label):
            self.detach(volume)
        self.erase_volume(vm.root)
        for group in [group.label for group in self.groups.values() if group.vm == label]:
            self.dissolve(group)
        self.forget_tags(vm.uuid)
        self.gone[label] = vm.uuid
        del self.vms[label]

    # --- what the server should show

    def vm_row(self, vm):
        volumes = [self.volumes[vm.root]] + self.disks_of(vm.label)
        row = {"uuid": vm.uuid, "name": vm.name, "state": vm.state, "description": vm.description, "rootVolumeUuid": self.volumes[vm.root].uuid}
        nic = {"uuid": vm.nic, "ip": vm.ip, "mac": vm.mac, "state": vm.link, "deviceId": 0}
        return {**row, "vmNics": [nic], "allVolumes": {volume.uuid: self.volume_row(volume) for volume in volumes}}

    def volume_row(self, volume):
        row = {"uuid": volume.uuid, "name": volume.name, "size": volume.size, "type": volume.kind, "status": volume.status, "state": volume.state}
        return {**row, "vmInstanceUuid": self.vms[volume.vm].uuid if volume.vm else None, "deviceId": volume.slot}

    def snapshot_row(self, snapshot):
        return {"uuid": snapshot.uuid, "name": snapshot.name, "volumeUuid": self.volumes[snapshot.volume].uuid, "latest": snapshot.latest,
                "distance": self.distance(snapshot), "parentUuid": self.snapshots[snapshot.parent].uuid if snapshot.parent else None,
                "groupUuid": self.groups[snapshot.group].uuid if snapshot.group else None}

    def everything(self):
        """uuid: row of all that this client has, by the path under which the server shows it."""
        return {
            "/vm-instances": {vm.uuid: self.vm_row(vm) for vm in self.vms.values()},
            "/volumes": {volume.uuid: self.volume_row(volume) for volume in self.volumes.values()},
            "/volume-snapshots": {snapshot.uuid: self.snapshot_row(snapshot) for snapshot in self.snapshots.values()},
            "/volume-snapshots/group": {group.uuid: {"uuid": group.uuid, "name": group.name, "vmInstanceUuid": self.vms[group.vm].uuid} for group in self.groups.values()},
            "/checkpoints": {kept.uuid: {"uuid": kept.uuid, "name": kept.name} for kept in self.checkpoints.values()},
            "/user-tags": {tag: {"uuid": tag, "resourceUuid": resource, "tag": text} for tag, (resource, text) in self.tags.items()},
        }


def require(condition, what):
    if not condition:
        raise Mismatch(what)


def require_row(expected, row, where):
    """`row` has what is expected (None: the field is absent); rows below it are in order, or found by their uuids."""
    for field, value in expected.items():
        shown = row.get(field)
        if isinstance(value, dict):
            by_uuid = {entry["uuid"]: entry for entry in shown or []}
            require(set(by_uuid) == set(value), f"{where}: {field} has {sorted(by_uuid)}, not {sorted(value)}")
            for uuid, entry in value.items():
                require_row(entry, by_uuid[uuid], f"{where}.{field}")
        elif isinstance(value, list):
            require(len(shown or []) == len(value), f"{where}: {field} has {len(shown or [])} entries, not {len(value)}")
            for one, entry in zip(value, shown):
                require_row(one, entry, f"{where}.{field}")
        else:
            require(shown == value, f"{where}: {field} is {shown!r}, not {value!r}")
