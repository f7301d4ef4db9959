"""More operations: clones that are copies, all or none, with memory, planned alone or cancelled, and volumes that are made to stand alone."""
import time
import uuid

from model import CANCELLED, FAILED, NO_ADDRESS, NOT_FOUND, WRONG_STATE, require, require_row
from operations import VMS_MAX, a_vm, add_clone, add_vm, any_vm, choose_clone, choose_plan, clone_body, one_of, operation, room_for


def state_of(client):
    """All that can be seen of a client's VMs and volumes, also of those that the model does not know of, but for the file that a volume goes on with:
    long chains are made shorter at any time, and what was captured for a job that is cancelled stays below its source."""
    vms = client.rows("/vm-instances", f"name~={client.model.prefix}-%")
    volumes = client.rows("/volumes", f"name~=%{client.model.prefix}-%")
    for volume in volumes + [volume for vm in vms for volume in vm["allVolumes"]]:
        for field in ("installPath", "actualSize"):
            volume.pop(field, None)
    return {row["uuid"]: row for row in vms + volumes}


def require_unchanged(before, client, what):
    after = state_of(client)
    changed = {uuid for uuid in set(before) | set(after) if before.get(uuid) != after.get(uuid)}
    require(not changed, f"{what} changed {[(before.get(uuid), after.get(uuid)) for uuid in changed]}")


# --- clones

@operation(4, choose_plan)
def plan_clone(client, vm, made, full, strategy, tags, copy):
    """A dry run: it is refused as the call would be, and changes nothing."""
    model = client.model
    source = model.vms.get(vm)
    if source and source.held:
        return
    refusal = NOT_FOUND if source is None else None if source.state == "Stopped" else FAILED
    body = {**clone_body(client, made, full, strategy, tags, copy), "dryRun": True}
    before = state_of(client)
    answer = client.action("/vm-instances", model.gone.get(vm) or source.uuid, "cloneVmInstance", body, refusal)
    require_unchanged(before, client, "a dry run")
    if answer is not None:
        plan = answer["result"]["plan"]
        require([clone["name"] for clone in plan["clones"]] == body["names"], f"the plan is for {plan['clones']}")
        require(len(plan["volumes"]) == 1 + (len(model.disks_of(vm)) if full else 0), f"the plan has the volumes {plan['volumes']}")
        require(copy == "auto" or all(volume["strategy"] == copy for volume in plan["volumes"]), f"not {copy}: {plan['volumes']}")


def choose_cancelled(model, random):
    return {**choose_clone(model, random), "after": random.choice([0, 0.002, 0.005, 0.01, 0.03, 0.1])}


@operation(12, choose_cancelled)
def cancel_clone(client, vm, made, full, strategy, tags, copy, after):
    """The job is cancelled while it is at work: all of its clones are there, or none."""
    model = client.model
    source = model.vms.get(vm)
    if source is None or source.held or source.state != "Stopped":
        return
    job, before = uuid.uuid4().hex, state_of(client)
    body = {"cloneVmInstance": clone_body(client, made, full, strategy, tags, copy)}
    status, answer = client.send("PUT", f"/vm-instances/{source.uuid}/actions", body, job)
    require(status == 202, f"the job is not taken: HTTP {status} {answer}")
    time.sleep(after)
    asked, refusal = client.send("DELETE", "/jobs/" + job)
    require(asked == 200 or refusal["error"]["code"] == WRONG_STATE, f"the cancel is answered by {refusal}")
    status, answer = client.ended("/api-jobs/" + job)
    require(status == 200 or asked == 200, f"a job that had done all its work ended with {answer}")
    if status == 200:
        return client.made_clones(vm, made, full, strategy, tags, answer["result"])
    require(answer["error"]["code"] == CANCELLED, f"a cancelled job ended with {answer}")
    require_unchanged(before, client, "a cancelled job")


def choose_atomic(model, random):
    room_for(model.vms, VMS_MAX - 4)
    held = one_of(random, (vm.label for vm in model.vms.values() if vm.held and vm.state == "Stopped"))
    return {"vm": held, "made": [model.label("v") for _ in range(random.choice([2, 2, 3, 4]))]}


@operation(12, choose_atomic)
def clone_atomically(client, vm, made):
    """On the network whose six addresses all clients want: every name gets one, or nothing happens."""
    model, ledger = client.model, client.world.ledger
    source = model.vms[vm]
    if source.state != "Stopped":
        return
    before, called = state_of(client), time.monotonic()
    body = {"cloneVmInstance": {"names": [model.name(label) for label in made], "strategy": "CreateStopped", "atomic": True}}
    status, answer = client.send("PUT", f"/vm-instances/{source.uuid}/actions", body)
    answered = time.monotonic()
    if status != 200:
        codes = (answer["error"]["code"], answer["error"].get("cause", {}).get("code"))
        require(NO_ADDRESS in codes, f"refused with {codes}: {answer}")
        ledger.refused(None, called, answered, len(made))
        return require_unchanged(before, client, "an atomic clone that was refused")
    client.check_clones(answer["result"], made)
    for label, entry in zip(made, answer["result"]["inventories"]):
        clone = add_vm(client, label, entry["inventory"], "Stopped", "small")
        clone.description, clone.link = source.description, source.link
        clone.held = ledger.claimed(clone.ip, called, answered)


@operation(4, lambda model, random: {"made": (room_for(model.vms, VMS_MAX), model.label("v"))[1]})
def clone_with_memory(client, made):
    """Of the VM that runs all the while. It keeps its identity, so its link is down; then it is stopped, like all VMs of the model."""
    body = {"names": [client.model.name(made)], "memory": True, "identity": "keep"}
    answer = client.action("/vm-instances", client.world.running["uuid"], "cloneVmInstance", body)
    client.check_clones(answer["result"], [made])
    row = answer["result"]["inventories"][0]["inventory"]
    require(row["state"] == "Running", f"a clone with memory is {row['state']}")
    row = client.action("/vm-instances", row["uuid"], "stopVmInstance", {"type": "cold"})["inventory"]
    add_clone(client, made, row, "CreateStopped", [], {"description": None, "link": "disable"}, "default")


# --- volumes that stand alone

def bytes_shared(client, path, uuid, key):
    before = state_of(client)
    answer = client.action(path, uuid, key, {"dryRun": True})
    require_unchanged(before, client, f"a dry run of {key}")
    return answer["bytesToCopy"]


@operation(2, lambda model, random: {"vm": any_vm(model, random), "full": random.random() < 0.7})
def flatten_vm(client, vm, full):
    model, found = client.model, client.model.vms[vm]
    answer = client.action("/vm-instances", found.uuid, "flattenVmInstance", {"full": full}, None if found.state == "Stopped" else FAILED)
    if answer is not None:
        require_row(model.vm_row(found), answer["inventory"], "the flattened VM")
        shared = bytes_shared(client, "/volumes", model.volumes[found.root].uuid, "flattenVolume")
        require(shared == 0, f"{shared} bytes are shared by what was flattened")


@operation(2, lambda model, random: {"volume": one_of(random, model.volumes)})
def flatten_volume(client, volume):
    model, found = client.model, client.model.volumes[volume]
    answer = client.action("/volumes", found.uuid, "flattenVolume", {}, None if model.may_be_cut(found) else FAILED)
    if answer is not None:
        require_row(model.volume_row(found), answer["inventory"], "the flattened volume")
        shared = bytes_shared(client, "/volumes", found.uuid, "flattenVolume")
        require(shared == 0, f"{shared} bytes are shared by what was flattened")
