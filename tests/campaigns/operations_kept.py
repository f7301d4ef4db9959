"""More operations: what is kept of disks (snapshots, groups, checkpoints), tags, queries, and what clients compete for."""
import time
import urllib.parse

from model import FAILED, NO_ADDRESS, NOT_FOUND, Checkpoint, Group, Mismatch, require, require_row
from operations import SNAPSHOTS_MAX, VMS_MAX, a_vm, add_clone, add_vm, any_vm, one_of, operation, room_for


def choose_snapshot(model, random):
    room_for(model.snapshots, SNAPSHOTS_MAX)
    return {"volume": one_of(random, model.volumes), "made": model.label("s")}


@operation(4, choose_snapshot)
def take_snapshot(client, volume, made):
    model, found = client.model, client.model.volumes[volume]
    refusal = None if model.may_be_cut(found) else FAILED
    answer = client.call("POST", f"/volumes/{found.uuid}/volume-snapshots", {"params": {"name": model.name(made)}}, refusal)
    if answer is not None:
        model.add_snapshot(made, answer["inventory"]["uuid"], model.name(made), volume)
        require_row(model.snapshot_row(model.snapshots[made]), answer["inventory"], "the answer")


@operation(3, lambda model, random: {"snapshot": one_of(random, model.snapshots)})
def revert_volume(client, snapshot):
    model, kept = client.model, client.model.snapshots[snapshot]
    volume = model.volumes[kept.volume]
    answer = client.action("/volume-snapshots", kept.uuid, "revertVolumeFromSnapshot", {}, None if model.may_be_cut(volume) else FAILED)
    if answer is not None:
        model.make_latest(kept)


@operation(3, lambda model, random: {"snapshot": one_of(random, model.snapshots)})
def delete_snapshot(client, snapshot):
    client.call("DELETE", "/volume-snapshots/" + client.model.snapshots[snapshot].uuid)
    client.model.erase_snapshot(snapshot)


def choose_group(model, random):
    room_for(model.snapshots, SNAPSHOTS_MAX)
    return {"vm": any_vm(model, random), "made": model.label("g")}


@operation(3, choose_group)
def take_group(client, vm, made):
    model, found = client.model, client.model.vms[vm]
    volumes = [model.volumes[found.root]] + model.disks_of(vm)
    body = {"params": {"rootVolumeUuid": model.volumes[found.root].uuid, "name": model.name(made)}}
    answer = client.call("POST", "/volume-snapshots/group", body, None if found.state == "Stopped" else FAILED)
    if answer is None:
        return
    model.groups[made] = Group(made, answer["inventory"]["uuid"], model.name(made), vm, {volume.label: volume.slot for volume in volumes})
    for volume in volumes:
        latest = [row for row in client.rows("/volume-snapshots", "volumeUuid=" + volume.uuid) if row["latest"]]
        require(len(latest) == 1, f"volume {volume.name} has {len(latest)} latest snapshots")
        model.add_snapshot(f"{made}-{volume.label}", latest[0]["uuid"], model.name(made), volume.label, made)


@operation(2, lambda model, random: {"group": one_of(random, model.groups)})
def revert_vm(client, group):
    model, found = client.model, client.model.groups[group]
    possible = model.vms[found.vm].state == "Stopped" and not model.obstacle(found)
    if client.action("/volume-snapshots/group", found.uuid, "revertVmFromSnapshotGroup", {}, None if possible else FAILED) is not None:
        for snapshot in [snapshot for snapshot in model.snapshots.values() if snapshot.group == group]:
            model.make_latest(snapshot)


@operation(2, lambda model, random: {"group": one_of(random, model.groups)})
def delete_group(client, group):
    model = client.model
    client.call("DELETE", "/volume-snapshots/group/" + model.groups[group].uuid)
    for label in [snapshot.label for snapshot in model.snapshots.values() if snapshot.group == group]:
        model.erase_snapshot(label)


@operation(1, lambda model, random: {"group": one_of(random, model.groups)})
def ungroup(client, group):
    client.call("DELETE", "/volume-snapshots/ungroup/" + client.model.groups[group].uuid)
    client.model.dissolve(group)


def choose_group_clone(model, random):
    room_for(model.vms, VMS_MAX)
    return {"group": one_of(random, model.groups), "made": model.label("v"), "full": random.random() < 0.5}


@operation(8, choose_group_clone)
def clone_group(client, group, made, full):
    model, found = client.model, client.model.groups[group]
    source = model.vms[found.vm]
    if source.held:
        return
    sizes = sorted((slot, model.volumes[volume].size) for volume, slot in found.volumes.items() if slot) if found.whole else []
    body = {"names": [model.name(made)], "strategy": "CreateStopped", "full": full, "volumeSnapshotGroupUuid": found.uuid}
    answer = client.action("/vm-instances", source.uuid, "cloneVmInstance", body, None if found.whole else FAILED)
    if answer is not None:
        client.check_clones(answer["result"], [made])
        settings = {"description": source.description, "link": source.link}
        add_clone(client, made, answer["result"]["inventories"][0]["inventory"], "CreateStopped", sizes if full else [], settings, source.network)


def choose_checkpoint(model, random):
    room_for(model.checkpoints, 3)
    return {"vm": any_vm(model, random), "made": model.label("k")}


@operation(2, choose_checkpoint)
def make_checkpoint(client, vm, made):
    model, found = client.model, client.model.vms[vm]
    if found.held:
        return
    refusal = None if found.state == "Stopped" else FAILED
    answer = client.call("POST", f"/vm-instances/{found.uuid}/checkpoints", {"params": {"name": model.name(made)}}, refusal)
    if answer is not None:
        disks = [(disk.slot, disk.size) for disk in model.disks_of(vm)]
        settings = {"description": found.description, "link": found.link}
        model.checkpoints[made] = Checkpoint(made, answer["inventory"]["uuid"], model.name(made), vm, disks, settings)


def choose_checkpoint_clone(model, random):
    room_for(model.vms, VMS_MAX)
    return {"checkpoint": one_of(random, model.checkpoints), "made": model.label("v"), "full": random.random() < 0.5}


@operation(8, choose_checkpoint_clone)
def clone_checkpoint(client, checkpoint, made, full):
    kept = client.model.checkpoints[checkpoint]
    body = {"names": [client.model.name(made)], "strategy": "CreateStopped", "full": full}
    answer = client.action("/checkpoints", kept.uuid, "cloneVmInstance", body)
    client.check_clones(answer["result"], [made])
    add_clone(client, made, answer["result"]["inventories"][0]["inventory"], "CreateStopped", kept.disks if full else [], kept.settings, "default")


@operation(2, lambda model, random: {"checkpoint": one_of(random, model.checkpoints)})
def delete_checkpoint(client, checkpoint):
    client.call("DELETE", "/checkpoints/" + client.model.checkpoints[checkpoint].uuid)
    del client.model.checkpoints[checkpoint]


# --- tags and queries

@operation(4, lambda model, random: {"vm": a_vm(model, random), "text": f"note{random.randrange(4)}"})
def add_tag(client, vm, text):
    model = client.model
    uuid = model.gone.get(vm) or model.vms[vm].uuid
    params = {"resourceType": "VmInstanceVO", "resourceUuid": uuid, "tag": text}
    answer = client.call("POST", "/user-tags", {"params": params}, NOT_FOUND if vm in model.gone else None)
    if answer is not None:
        tag = answer["inventory"]["uuid"]
        require((uuid, text) not in model.tags.values() or model.tags.get(tag) == (uuid, text), f"{text} is on {vm} twice")
        model.tags[tag] = (uuid, text)


@operation(2, lambda model, random: {"vm": any_vm(model, random)})
def delete_tags(client, vm):
    """All of one VM."""
    for tag in [tag for tag, (resource, _) in client.model.tags.items() if resource == client.model.vms[vm].uuid]:
        client.call("DELETE", "/tags/" + tag)
        del client.model.tags[tag]


@operation(12, lambda model, random: {"vm": a_vm(model, random)})
def read_vm(client, vm):
    model = client.model
    rows = client.rows("/vm-instances", "uuid=" + (model.gone.get(vm) or model.vms[vm].uuid))
    require(len(rows) == (0 if vm in model.gone else 1), f"{len(rows)} rows of {vm}")
    if rows:
        require_row(model.vm_row(model.vms[vm]), rows[0], "the VM")
        client.check_lease(model.vms[vm], rows[0])


@operation(6, lambda model, random: {"volume": one_of(random, model.volumes)})
def read_volume(client, volume):
    rows = client.rows("/volumes", "uuid=" + client.model.volumes[volume].uuid)
    require(len(rows) == 1, f"{len(rows)} rows of {volume}")
    require_row(client.model.volume_row(client.model.volumes[volume]), rows[0], "the volume")
    snapshots = client.rows("/volume-snapshots", "volumeUuid=" + rows[0]["uuid"])
    expected = {snapshot.uuid: snapshot for snapshot in client.model.snapshots_of(volume)}
    require({row["uuid"] for row in snapshots} == set(expected), f"the snapshots of {volume}")
    for row in snapshots:
        require_row(client.model.snapshot_row(expected[row["uuid"]]), row, "the snapshot")


@operation(5, lambda model, random: {"state": random.choice(["Stopped", "Created", "Destroyed"]), "count": random.random() < 0.3})
def query_vms(client, state, count):
    model = client.model
    expected = {vm.uuid for vm in model.vms.values() if vm.state == state}
    conditions = [f"name~={model.prefix}-%", "state=" + state]
    if count:
        answer = client.call("GET", "/vm-instances?count=true&" + "&".join("q=" + urllib.parse.quote(text) for text in conditions))
        require(answer["total"] == len(expected), f"{answer['total']} VMs are {state}, not {len(expected)}")
    else:
        found = {row["uuid"] for row in client.rows("/vm-instances", *conditions)}
        require(found == expected, f"the VMs that are {state}: {sorted(found)}, not {sorted(expected)}")


# --- what clients compete for

def choose_small(model, random):
    room_for(model.vms, VMS_MAX)
    return {"made": model.label("v"), "wanted": random.choice([None, None, random.randrange(100)])}


@operation(5, choose_small)
def create_on_small_network(client, made, wanted):
    """Six addresses for all clients: this one, or any."""
    world, model = client.world, client.model
    address = None if wanted is None else world.addresses[wanted % len(world.addresses)]
    nics = [{"l3NetworkUuid": world.small_network, "ip": address}] if address else []
    params = {"name": model.name(made), "cpuNum": 1, "memorySize": 128 << 20, "imageUuid": world.image, "l3NetworkUuids": [world.small_network],
              "strategy": "CreateStopped", "vmNicParams": nics}
    compete(client, made, address, "POST", "/vm-instances", {"params": params}, lambda answer: answer["inventory"])


@operation(2, lambda model, random: {"vm": one_of(random, (vm.label for vm in model.vms.values() if vm.held and vm.state == "Stopped")), "made": model.label("v")})
def clone_on_small_network(client, vm, made):
    source = client.model.vms[vm]
    body = {"cloneVmInstance": {"names": [client.model.name(made)], "strategy": "CreateStopped"}}
    path = f"/vm-instances/{source.uuid}/actions"
    if compete(client, made, None, "PUT", path, body, lambda answer: answer["result"]["inventories"][0].get("inventory")):
        client.model.vms[made].description, client.model.vms[made].link = source.description, source.link


def compete(client, made, address, method, path, body, row_of):
    world = client.world
    called = time.monotonic()
    status, answer = client.send(method, path, body)
    answered = time.monotonic()
    row = row_of(answer) if status == 200 else None
    if row is None:
        code = answer.get("error", {}).get("code")
        require(status == 200 or code == NO_ADDRESS, f"refused with {code}: {answer}")
        world.ledger.refused(address, called, answered)
        return False
    vm = add_vm(client, made, row, "Stopped", "small")
    require(vm.ip in world.ledger.holds and vm.ip == (address or vm.ip), f"{vm.name} was given {vm.ip}")
    vm.held = world.ledger.claimed(vm.ip, called, answered)
    return True


@operation(3, lambda model, random: {"vm": one_of(random, (vm.label for vm in model.vms.values() if vm.state == "Stopped")), "number": random.randrange(100)})
def borrow_volume(client, vm, number):
    """Attaches a volume that all clients want, and gives it back."""
    world, target = client.world, client.model.vms[vm]
    volume = world.shared_volumes[number % len(world.shared_volumes)]
    called = time.monotonic()
    status, answer = client.send("POST", f"/volumes/{volume}/vm-instances/{target.uuid}", {"params": {}})
    answered = time.monotonic()
    if status != 200:
        require(answer["error"]["code"] == "VM.1005", f"refused: {answer}")
        return world.ledger_of_volumes.refused(volume, called, answered)
    hold = world.ledger_of_volumes.claimed(volume, called, answered)
    require_row({"vmInstanceUuid": target.uuid, "deviceId": client.model.free_slot(vm)}, answer["inventory"], "the borrowed volume")
    hold.release_called = time.monotonic()
    client.call("DELETE", f"/volumes/{volume}/vm-instances")
    hold.release_answered = time.monotonic()


@operation(8, lambda model, random: {"number": random.randrange(100), "kind": random.choice(["read", "read", "rename", "destroy", "recover", "recover"])})
def touch_shared_vm(client, number, kind):
    shared = client.world.shared_vms[number % len(client.world.shared_vms)]
    path, value = f"/vm-instances/{shared.uuid}", None
    called = time.monotonic()
    if kind == "read":
        status, answer = client.send("GET", path)
        value = (answer["inventories"][0]["name"], answer["inventories"][0]["state"]) if status == 200 else None
    elif kind == "rename":
        value = "of-" + client.model.name(client.model.label("n"))
        status, answer = client.send("PUT", path + "/actions", {"updateVmInstance": {"name": value}})
    elif kind == "destroy":
        status, answer = client.send("DELETE", path)
    else:
        status, answer = client.send("PUT", path + "/actions", {"recoverVmInstance": {}})
    answered = time.monotonic()
    if status != 200 and (kind != "recover" or answer["error"]["code"] != FAILED):
        raise Mismatch(f"{kind} of a shared VM: {status} {answer}")
    shared.add(kind, value, status == 200, called, answered)
