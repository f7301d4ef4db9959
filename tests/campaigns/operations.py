"""The operations of the random test: what to choose, what to send, what must come back. Each is one call, or a pair of calls that belong
together; `client.call` compares acceptance and error code, the operation compares the answer and changes the model."""
import time

from model import ATTACH_FAILED, DETACH_FAILED, FAILED, INVALID, NOT_FOUND, Vm, Volume, require, require_row

VMS_MAX, VOLUMES_MAX, SNAPSHOTS_MAX = 12, 8, 12  # of one client; beyond them nothing is made
OPERATIONS = {}  # name: (weight, choose, perform)


class Nothing(Exception):
    """There is nothing that this operation could be done to."""


def operation(weight, choose):
    def add(perform):
        OPERATIONS[perform.__name__] = (weight, choose, perform)
        return perform
    return add


def choose_operation(client, random):
    """(name, arguments), with labels instead of uuids."""
    names = list(OPERATIONS)
    while True:
        name = random.choices(names, [OPERATIONS[name][0] for name in names])[0]
        try:
            return name, OPERATIONS[name][1](client.model, random)
        except Nothing:
            continue


def one_of(random, things):
    things = list(things)
    if not things:
        raise Nothing
    return random.choice(things)


def any_vm(model, random):
    return one_of(random, model.vms)


def a_vm(model, random):  # one that is gone now and then
    return random.choice(list(model.gone)) if model.gone and random.random() < 0.05 else any_vm(model, random)


def data_volume(model, random):
    return one_of(random, (volume.label for volume in model.volumes.values() if volume.kind == "Data"))


def room_for(things, bound):
    if len(things) >= bound:
        raise Nothing


# --- VMs

def add_vm(client, label, row, state, network):
    model = client.model
    require(len(row["vmNics"]) == 1, f"{row['name']} has {len(row['vmNics'])} NICs")
    root = next(volume for volume in row["allVolumes"] if volume["type"] == "Root")
    nic = row["vmNics"][0]
    model.volumes["root-" + label] = Volume("root-" + label, root["uuid"], "ROOT-for-" + row["name"], client.world.image_size, "Root", "Ready", label, 0)
    vm = Vm(label, row["uuid"], row["name"], state, "root-" + label, network, nic["uuid"], nic["ip"], nic["mac"])
    model.vms[label] = vm
    client.world.seen(vm.uuid, nic["mac"], nic["ip"])
    return vm


def add_clone(client, label, row, strategy, sizes, settings, network):
    """`sizes` of the data volumes that come with it."""
    model = client.model
    vm = add_vm(client, label, row, "Created" if strategy == "JustCreate" else "Stopped", network)
    vm.description, vm.link = settings["description"], settings["link"]
    disks = sorted((volume for volume in row["allVolumes"] if volume["type"] == "Data"), key=lambda volume: volume["deviceId"])
    require(len(disks) == len(sizes), f"{vm.name} has {len(disks)} data volumes, not {len(sizes)}")
    for slot, (disk, (wanted_slot, size)) in enumerate(zip(disks, sizes)):
        made = f"{label}-disk{slot}"
        model.volumes[made] = Volume(made, disk["uuid"], "DATA-for-" + vm.name, size, "Data", "Ready", label, wanted_slot)
    require_row(model.vm_row(vm), row, "the answer's clone")
    return vm


def choose_create(model, random):
    room_for(model.vms, VMS_MAX)
    return {"made": model.label("v"), "strategy": random.choice(["CreateStopped", "JustCreate"]), "tags": random.randrange(2)}


@operation(3, choose_create)
def create_vm(client, made, strategy, tags):
    model, world = client.model, client.world
    texts = [f"tag{i}" for i in range(tags)]
    params = {"name": model.name(made), "cpuNum": 1, "memorySize": 128 << 20, "imageUuid": world.image, "l3NetworkUuids": [world.network], "strategy": strategy, "userTags": texts}
    row = client.call("POST", "/vm-instances", {"params": params})["inventory"]
    vm = add_vm(client, made, row, "Created" if strategy == "JustCreate" else "Stopped", "default")
    require_row(model.vm_row(vm), row, "the answer")
    client.adopt_tags(vm.uuid, texts)


def choose_clone(model, random):
    room_for(model.vms, VMS_MAX)
    return choose_plan(model, random)


def choose_plan(model, random):
    return {"vm": a_vm(model, random), "made": [model.label("v") for _ in range(random.choice([1, 1, 2, 3]))], "full": random.random() < 0.4,
            "strategy": random.choice(["CreateStopped", "CreateStopped", "JustCreate"]), "tags": random.randrange(2),
            "copy": random.choice(["auto", "auto", "linked", "full"])}


def clone_body(client, made, full, strategy, tags, copy):
    texts = [f"tag{i}" for i in range(tags)]
    return {"names": [client.model.name(label) for label in made], "strategy": strategy, "full": full, "userTags": texts, "copy": copy}


@operation(14, choose_clone)
def clone_vm(client, vm, made, full, strategy, tags, copy):
    model = client.model
    source = model.vms.get(vm)
    if source and source.held:
        return  # its network is too small for this; clone_from_small does it
    refusal = NOT_FOUND if source is None else None if source.state == "Stopped" else FAILED
    body = clone_body(client, made, full, strategy, tags, copy)
    answer = client.action("/vm-instances", model.gone.get(vm) or source.uuid, "cloneVmInstance", body, refusal)
    if answer is not None:
        client.made_clones(vm, made, full, strategy, tags, answer["result"])


@operation(6, lambda model, random: {"made": (room_for(model.vms, VMS_MAX), model.label("v"))[1]})
def clone_running(client, made):
    """The VM that runs all the while, whose clones all clients make."""
    answer = client.action("/vm-instances", client.world.running["uuid"], "cloneVmInstance", {"names": [client.model.name(made)], "strategy": "CreateStopped"})
    client.check_clones(answer["result"], [made])
    add_clone(client, made, answer["result"]["inventories"][0]["inventory"], "CreateStopped", [], {"description": None, "link": "enable"}, "default")


@operation(7, lambda model, random: {"vm": a_vm(model, random)})
def destroy_vm(client, vm):
    model = client.model
    if vm in model.gone:
        return client.call("DELETE", "/vm-instances/" + model.gone[vm])
    client.call("DELETE", "/vm-instances/" + model.vms[vm].uuid)
    if model.vms[vm].state == "Created":
        return client.removed_vm(vm)
    for volume in model.disks_of(vm):
        model.detach(volume)
    model.vms[vm].state = "Destroyed"


@operation(2, lambda model, random: {"vm": any_vm(model, random)})
def recover_vm(client, vm):
    found = client.model.vms[vm]
    answer = client.action("/vm-instances", found.uuid, "recoverVmInstance", {}, None if found.state == "Destroyed" else FAILED)
    if answer is not None:
        found.state = "Stopped"
        require_row(client.model.vm_row(found), answer["inventory"], "the answer")


@operation(9, lambda model, random: {"vm": any_vm(model, random)})
def expunge_vm(client, vm):
    found = client.model.vms[vm]
    if client.action("/vm-instances", found.uuid, "expungeVmInstance", {}, None if found.state == "Destroyed" else FAILED) is not None:
        client.removed_vm(vm)


@operation(6, lambda model, random: {"vm": a_vm(model, random), "number": random.randrange(1000), "describe": random.random() < 0.5})
def update_vm(client, vm, number, describe):
    model = client.model
    found = model.vms.get(vm)
    change = {"description": f"text {number}"} if describe else {"name": model.name(f"{vm}-{number}")}
    answer = client.action("/vm-instances", model.gone.get(vm) or found.uuid, "updateVmInstance", change, None if found else NOT_FOUND)
    if answer is not None:
        found.name, found.description = change.get("name", found.name), change.get("description", found.description)
        require_row(model.vm_row(found), answer["inventory"], "the answer")


@operation(4, lambda model, random: {"vm": any_vm(model, random), "host_name": random.choice([None, f"host{random.randrange(9)}"])})
def set_host_name(client, vm, host_name):
    """One is there once on a network."""
    found = client.model.vms[vm]
    if host_name is None:
        client.call("DELETE", f"/vm-instances/{found.uuid}/hostnames")
        found.host_name = None
    else:
        name = f"{host_name}.{client.model.prefix}"
        taken = any(other.host_name == name and other.network == found.network and other is not found for other in client.model.vms.values())
        if client.action("/vm-instances", found.uuid, "setVmHostname", {"hostname": name}, INVALID if taken else None) is not None:
            found.host_name = name
    shown = client.call("GET", f"/vm-instances/{found.uuid}/hostnames")
    require(shown.get("hostname") == found.host_name, f"the host name is {shown.get('hostname')!r}, not {found.host_name!r}")


@operation(4, lambda model, random: {"vm": any_vm(model, random), "seconds": random.choice([None, 3600, 100_000]), "extend": random.random() < 0.5})
def change_lease(client, vm, seconds, extend):
    found = client.model.vms[vm]
    key, body = ("extendVmInstanceLease", {"expiresIn": seconds or 60}) if extend else ("setVmInstanceLease", {"expiresIn": seconds} if seconds else {})
    called = time.time() * 1000
    answer = client.action("/vm-instances", found.uuid, key, body, FAILED if extend and found.lease is None else None)
    answered = time.time() * 1000
    if answer is None:
        return
    row = answer["inventory"]
    if extend:
        low, high = found.lease
        found.lease = (max(low, called) + 1000 * (seconds or 60), max(high, answered) + 1000 * (seconds or 60))
    else:
        found.lease = (called + 1000 * seconds, answered + 1000 * seconds) if seconds else None
    client.check_lease(found, row)


@operation(4, lambda model, random: {"vm": any_vm(model, random), "state": random.choice(["enable", "disable"])})
def change_link(client, vm, state):
    found = client.model.vms[vm]
    refusal = FAILED if found.state == "Destroyed" else None
    answer = client.action("/vm-instances/nics", found.nic, "changeVmNicState", {"state": state}, refusal)
    if answer is not None:
        found.link = state
        require(answer["inventory"]["state"] == state, "the NIC's state in the answer")


# --- volumes

def choose_volume(model, random):
    room_for([volume for volume in model.volumes.values() if volume.kind == "Data"], VOLUMES_MAX)
    return {"made": model.label("d"), "size": random.choice([1, 3]) << 20, "placed": random.random() < 0.5}


@operation(3, choose_volume)
def create_volume(client, made, size, placed):
    params = {"name": client.model.name(made), "diskSize": size}
    if placed:
        params["primaryStorageUuid"] = client.world.storage
    row = client.call("POST", "/volumes/data", {"params": params})["inventory"]
    volume = Volume(made, row["uuid"], client.model.name(made), size, "Data", "Ready" if placed else "NotInstantiated")
    client.model.volumes[made] = volume
    require_row(client.model.volume_row(volume), row, "the answer")


@operation(6, lambda model, random: {"volume": data_volume(model, random), "vm": any_vm(model, random)})
def attach_volume(client, volume, vm):
    model, found, target = client.model, client.model.volumes[volume], client.model.vms[vm]
    possible = found.vm is None and found.state == "Enabled" and found.status != "Deleted" and target.state != "Destroyed"
    answer = client.call("POST", f"/volumes/{found.uuid}/vm-instances/{target.uuid}", {"params": {}}, None if possible else ATTACH_FAILED)
    if answer is None:
        return
    found.vm, found.slot, found.status = vm, model.free_slot(vm), "Ready"
    require_row(model.volume_row(found), answer["inventory"], "the answer")


@operation(4, lambda model, random: {"volume": data_volume(model, random)})
def detach_volume(client, volume):
    found = client.model.volumes[volume]
    answer = client.call("DELETE", f"/volumes/{found.uuid}/vm-instances", None, None if found.vm else DETACH_FAILED)
    if answer is not None:
        client.model.detach(found)
        require_row(client.model.volume_row(found), client.call("GET", "/volumes/" + found.uuid)["inventories"][0], "the detached volume")


@operation(3, lambda model, random: {"volume": data_volume(model, random)})
def delete_volume(client, volume):
    model, found = client.model, client.model.volumes[volume]
    answer = client.call("DELETE", "/volumes/" + found.uuid, None, FAILED if found.vm else None)
    if answer is None:
        return
    if found.status == "NotInstantiated":
        model.erase_volume(volume)  # there is nothing to recover
    else:
        found.status = "Deleted"


@operation(2, lambda model, random: {"volume": data_volume(model, random)})
def recover_volume(client, volume):
    found = client.model.volumes[volume]
    if client.action("/volumes", found.uuid, "recoverDataVolume", {}, None if found.status == "Deleted" else FAILED) is not None:
        found.status = "Ready"


@operation(2, lambda model, random: {"volume": data_volume(model, random)})
def expunge_volume(client, volume):
    found = client.model.volumes[volume]
    if client.action("/volumes", found.uuid, "expungeDataVolume", {}, None if found.status == "Deleted" else FAILED) is not None:
        client.model.erase_volume(volume)


@operation(3, lambda model, random: {"volume": one_of(random, model.volumes), "number": random.randrange(1000)})
def rename_volume(client, volume, number):
    found = client.model.volumes[volume]
    found.name = client.model.name(f"{volume}-{number}")
    answer = client.action("/volumes", found.uuid, "updateVolume", {"name": found.name})
    require_row(client.model.volume_row(found), answer["inventory"], "the answer")


@operation(2, lambda model, random: {"volume": data_volume(model, random), "event": random.choice(["enable", "enable", "disable"])})
def change_volume_state(client, volume, event):
    found = client.model.volumes[volume]
    found.state = "Enabled" if event == "enable" else "Disabled"
    answer = client.action("/volumes", found.uuid, "changeVolumeState", {"stateEvent": event})
    require_row(client.model.volume_row(found), answer["inventory"], "the answer")
