#include "simulation/scenarios.hpp"

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "base/limits.hpp"
#include "identity/accounts.hpp"
#include "lifecycle/checkpoints.hpp"
#include "lifecycle/destroy.hpp"
#include "lifecycle/flatten.hpp"
#include "lifecycle/power.hpp"
#include "lifecycle/snapshots.hpp"
#include "lifecycle/volumes.hpp"
#include "resources/images.hpp"
#include "storage/file.hpp"
#include "storage/qcow2_writer.hpp"

namespace ramet::sim {

namespace {

using Act = std::function<void(Client&)>;
constexpr std::int64_t kSecond = 1'000'000'000;

void start(Client& client, const std::string& vm) { client.wait(lifecycle::start_vm(client.parts(), Client::request(), {client.must_vm(vm).uuid})); }
void stop(Client& client, const std::string& vm) {
    client.wait(lifecycle::stop_vm(client.parts(), Client::request(), {client.must_vm(vm).uuid, "cold"}));
}
void pause(Client& client, const std::string& vm) { client.wait(lifecycle::pause_vm(client.parts(), Client::request(), {client.must_vm(vm).uuid})); }
void destroy(Client& client, const std::string& vm) {
    client.wait(lifecycle::destroy_vm(client.parts(), Client::request(), {client.must_vm(vm).uuid}));
}

// Data volumes of the pool by name.
Volume volume(Client& client, const std::string& name) {
    const std::vector<Volume> found = client.rows<Volume>({{"name", name}});
    if (found.empty()) throw std::runtime_error("the scenario has no volume '" + name + "'");
    return found.front();
}

void create_volume(Client& client, const std::string& name) {
    api::CreateDataVolume message;
    message.name = name;
    message.disk_size = limits::kMiB;
    client.wait(lifecycle::create_data_volume(client.parts(), Client::request(), message));
}
void attach(Client& client, const std::string& name) {
    client.wait(lifecycle::attach_data_volume(client.parts(), Client::request(), {volume(client, name).uuid, client.must_vm("source").uuid}));
}

SnapshotGroupId group(Client& client, const std::string& name) {
    const auto found = client.rows<VolumeSnapshotGroup>({{"name", name}});
    if (found.empty()) throw std::runtime_error("the scenario has no snapshot group '" + name + "'");
    return found.front().uuid;
}

void delete_group(Client& client, const std::string& name) {
    client.wait(lifecycle::delete_snapshot_group(client.parts(), Client::request(), {group(client, name)}));
}

void take_checkpoint(Client& client, bool memory) {
    api::CreateCheckpoint message;
    message.vm_instance_uuid = client.must_vm("source").uuid;
    message.name = "checkpoint";
    message.memory = memory;
    client.wait(lifecycle::create_checkpoint(client.parts(), Client::request(), message));
}

CheckpointId checkpoint(Client& client) {
    const auto found = client.rows<Checkpoint>();
    if (found.empty()) throw std::runtime_error("the scenario has no checkpoint");
    return found.front().uuid;
}

// Layers on layers: each snapshot of a written disk is one more.
void deepen(Client& client, int times) {
    for (int i = 0; i < times; ++i) {
        client.guest_writes("source");
        client.wait(client.snapshot_group("source", "deep-" + std::to_string(i)));
    }
    client.guest_writes("source");
}

Act after(Act first, Act then) {
    return [first = std::move(first), then = std::move(then)](Client& client) {
        first(client);
        then(client);
    };
}

Act clones(std::size_t count, std::function<void(api::CloneVmInstance&)> edit = {}) {
    return [count, edit](Client& client) { client.wait(client.clone("source", count, edit)); };
}

// Things that nobody owns, and no more than that.
void litter(Client& client) {
    const std::string primary = client.rows<PrimaryStorage>().front().url;
    std::ofstream(primary + "/stray.qcow2") << "nobody's";
    std::filesystem::create_directories(client.server().machine().data_dir + "/seeds");
    std::ofstream(client.server().machine().data_dir + "/seeds/" + VmId::derived("simulation", "gone").text() + ".iso") << "nobody's";
    hypervisor::PortSpec tap;
    tap.tap = "stray0";
    (void)client.server().machine().plumbing->plug(tap);
}

void clean(Client& client) {
    for (int look = 0; look < 3; ++look) {
        client.wait(lifecycle::clean_garbage(client.parts(), Client::request()));
        scheduler().sleep(60 * kSecond);
    }
}

void add_clones(std::vector<Scenario>& all) {
    for (const std::string& state : {std::string("running"), std::string("paused"), std::string("stopped")}) {
        for (const std::size_t count : {std::size_t{1}, std::size_t{3}, std::size_t{16}}) {
            const std::string of = std::to_string(count) + " of a " + state + " source";
            all.push_back({"clone " + of, with_source(state), clones(count)});
            all.push_back({"full clone " + of, with_source(state), clones(count, [](auto& message) { message.copy = "full"; })});
        }
    }
    all.push_back({"clone 3 and start none", with_source("running"), clones(3, [](auto& message) { message.strategy = "CreateStopped"; })});
    all.push_back({"clone 3 atomically", with_source("running"), clones(3, [](auto& message) { message.atomic = true; })});
    const auto with_memory = [](auto& message) { message.memory = message.full = true; };  // a guest's memory knows all of its disks
    all.push_back({"clone 3 with memory", with_source("running"), clones(3, with_memory)});
    all.push_back({"clone 4 with memory", with_source("running"), clones(4, with_memory)});
    all.push_back({"clone 1 with memory of a paused source", with_source("paused"), clones(1, with_memory)});
    const Act shares_blocks = [](Client& client) { client.server().machine().claims_to_share_blocks = true; };
    for (const std::string& state : {std::string("running"), std::string("stopped")})
        all.push_back({"reflinked clone 3 of a " + state + " source", after(with_source(state), shares_blocks),
                       clones(3, [](auto& message) { message.copy = "reflink"; })});
    all.push_back({"clone 2 with a lease", with_source("running"), [](Client& client) {
                       client.wait(client.clone("source", 2, [](auto& message) { message.expires_in = 120; }));
                       scheduler().sleep(300 * kSecond);
                   }});
    all.push_back({"clone 2 and cancel", with_source("running"), [](Client& client) {
                       const Result<JobId> job = client.clone("source", 2, [](auto& message) { message.copy = "full"; });
                       scheduler().sleep(static_cast<std::int64_t>(scheduler().random() % 2'000'000));
                       if (job.has_value()) (void)client.server().engine().cancel(*job);
                       client.wait(job);
                   }});
}

void add_vms(std::vector<Scenario>& all) {
    const Act nothing = [](Client&) {};
    all.push_back({"create and start", nothing, [](Client& client) { client.wait(client.create("source", true)); }});
    all.push_back({"create stopped", nothing, [](Client& client) { client.wait(client.create("source", false)); }});
    all.push_back({"start", with_source("stopped"), [](Client& client) { start(client, "source"); }});
    all.push_back({"stop", with_source("running"), [](Client& client) { stop(client, "source"); }});
    all.push_back({"pause", with_source("running"), [](Client& client) { pause(client, "source"); }});
    all.push_back({"resume", with_source("paused"),
                   [](Client& client) { client.wait(lifecycle::resume_vm(client.parts(), Client::request(), {client.must_vm("source").uuid})); }});
    all.push_back({"reboot", with_source("running"),
                   [](Client& client) { client.wait(lifecycle::reboot_vm(client.parts(), Client::request(), {client.must_vm("source").uuid})); }});
    all.push_back({"destroy", with_source("running"), [](Client& client) { destroy(client, "source"); }});
    const auto destroyed = [](Client& client) { destroy(client, "source"); };
    all.push_back({"expunge", after(with_source("running"), destroyed),
                   [](Client& client) { client.wait(lifecycle::expunge_vm(client.parts(), Client::request(), {client.must_vm("source").uuid})); }});
    all.push_back({"recover", after(with_source("stopped"), destroyed),
                   [](Client& client) { client.wait(lifecycle::recover_vm(client.parts(), Client::request(), {client.must_vm("source").uuid})); }});
    all.push_back({"expunge under clones", after(with_source("running"), clones(2)), [](Client& client) {
                       destroy(client, "source");
                       if (client.vm("source"))
                           client.wait(lifecycle::expunge_vm(client.parts(), Client::request(), {client.must_vm("source").uuid}));
                   }});
}

void add_volumes(std::vector<Scenario>& all) {
    const Act have_one = [](Client& client) { create_volume(client, "extra"); };
    const Act attach_it = [](Client& client) { attach(client, "extra"); };
    all.push_back({"create a volume", with_source("running"), have_one});
    all.push_back({"attach a volume", after(with_source("running"), have_one), attach_it});
    all.push_back({"attach a volume to a stopped VM", after(with_source("stopped"), have_one), attach_it});
    all.push_back({"detach a volume", after(after(with_source("running"), have_one), attach_it), [](Client& client) {
                       client.wait(lifecycle::detach_data_volume(client.parts(), Client::request(), {volume(client, "extra").uuid, std::nullopt}));
                   }});
    const Act remove = [](Client& client) {
        client.wait(lifecycle::delete_data_volume(client.parts(), Client::request(), {volume(client, "extra").uuid}));
    };
    all.push_back({"delete a volume", after(after(with_source("running"), have_one), attach_it), remove});
    all.push_back({"expunge a volume", after(after(with_source("running"), have_one), after(attach_it, remove)), [](Client& client) {
                       client.wait(lifecycle::expunge_data_volume(client.parts(), Client::request(), {volume(client, "extra").uuid}));
                   }});
}

void add_snapshots(std::vector<Scenario>& all) {
    const Act take = [](Client& client) { client.wait(client.snapshot_group("source", "group")); };
    const Act write = [](Client& client) { client.guest_writes("source"); };
    for (const std::string& state : {std::string("running"), std::string("paused"), std::string("stopped")})
        all.push_back({"snapshot of a " + state + " source", after(with_source(state), write), take});
    all.push_back({"delete a snapshot group", after(with_source("running"), take), [](Client& client) { delete_group(client, "group"); }});
    all.push_back({"revert a VM", after(with_source("stopped"), take),
                   [](Client& client) { client.wait(lifecycle::revert_vm(client.parts(), Client::request(), {group(client, "group")})); }});
    const Act keep = [](Client& client) { client.wait(client.snapshot_group(client.must_vm("source"), "group", true)); };
    const Act stopped_since = after(write, [](Client& client) { stop(client, "source"); });
    for (const std::string& state : {std::string("running"), std::string("paused")})
        all.push_back({"snapshot with memory of a " + state + " source", after(with_source(state), write), keep});
    all.push_back(
        {"delete a snapshot group with memory", after(with_source("running"), keep), [](Client& client) { delete_group(client, "group"); }});
    all.push_back({"revert a VM with memory", after(after(with_source("running"), keep), stopped_since),
                   [](Client& client) { client.wait(lifecycle::revert_vm(client.parts(), Client::request(), {group(client, "group")})); }});
    all.push_back({"revert a VM with memory and start it at once", after(after(with_source("running"), keep), stopped_since), [](Client& client) {
                       const Result<JobId> reverted = lifecycle::revert_vm(client.parts(), Client::request(), {group(client, "group")});
                       start(client, "source");
                       client.wait(reverted);
                   }});
    all.push_back({"snapshot and pause at once", with_source("running"), [](Client& client) {
                       const Result<JobId> taken = client.snapshot_group("source", "group");
                       client.wait(lifecycle::pause_vm(client.parts(), Client::request(), {client.must_vm("source").uuid}));
                       client.wait(taken);
                   }});
}

void add_checkpoints(std::vector<Scenario>& all) {
    for (const bool memory : {false, true}) {
        const std::string kind = memory ? "checkpoint with memory" : "checkpoint";
        const Act take = [memory](Client& client) { take_checkpoint(client, memory); };
        all.push_back({"take a " + kind, with_source("running"), take});
        all.push_back({"clone 3 of a " + kind, after(with_source("running"), take), [memory](Client& client) {
                           const CheckpointId id = checkpoint(client);
                           client.wait(client.clone("source", 3, [&](auto& message) {
                               message.vm_instance_uuid = VmId();
                               message.checkpoint_uuid = id;
                               message.memory = message.full = memory;
                           }));
                       }});
        all.push_back({"delete a " + kind, after(with_source("running"), take),
                       [](Client& client) { client.wait(lifecycle::delete_checkpoint(client.parts(), Client::request(), {checkpoint(client)})); }});
    }
}

void add_chains(std::vector<Scenario>& all) {
    for (const std::string& state : {std::string("running"), std::string("stopped")}) {
        all.push_back({"flatten a " + state + " clone", after(with_source(state), clones(1)), [](Client& client) {
                           const auto answer =
                               lifecycle::flatten_vm(client.parts(), Client::request(), {client.must_vm("source-clone-0").uuid, true, false});
                           if (answer.has_value() && std::holds_alternative<JobId>(*answer)) client.wait(Result<JobId>(std::get<JobId>(*answer)));
                       }});
        // The merger sees what becomes mergeable, by itself.
        const Act deep = [state](Client& client) {
            deepen(client, 7);
            if (state == "stopped") stop(client, "source");
        };
        all.push_back({"merge the chain of a " + state + " source", after(with_source("running"), deep), [](Client& client) {
                           for (int i = 0; i < 7; ++i) delete_group(client, "deep-" + std::to_string(i));
                           scheduler().sleep(60 * kSecond);
                       }});
    }
    all.push_back({"clean garbage", after(with_source("running"), &litter), &clean, &clean});
}

// Outside of what the server owns. Without a header it is no image.
std::string incoming_file(Client& client, bool is_image) {
    const std::string file = std::filesystem::path(client.server().machine().data_dir).parent_path().string() + "/incoming.qcow2";
    const storage::UniqueFd fd(::open(file.c_str(), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600));
    const Result<void> written = is_image ? storage::write_qcow2(fd.get(), limits::kMiB, std::nullopt) : Result<void>();
    if (!fd.valid() || !written.has_value()) throw std::runtime_error("the image to be added cannot be written");
    return file;
}

void add_image(Client& client, bool is_image) {
    api::AddImage message;
    message.name = "added";
    message.url = "file://" + incoming_file(client, is_image);
    message.format = "qcow2";
    for (const BackupStorage& storage : client.rows<BackupStorage>()) message.backup_storage_uuids.push_back(storage.uuid);
    client.wait(resources::add_image(client.parts().shared, identity::admin_caller(), message, {JobId::random()}));
}

void remove_image(Client& client, bool for_good) {
    const std::vector<Image> found = client.rows<Image>({{"name", "added"}});
    if (found.empty()) throw std::runtime_error("the scenario has no image 'added'");
    (void)resources::delete_image(client.parts().shared, identity::admin_caller(), {found.front().uuid, {}});
    if (for_good) (void)resources::expunge_image(client.parts().shared, identity::admin_caller(), {found.front().uuid, {}});
}

void add_images(std::vector<Scenario>& all) {
    const Act nothing = [](Client&) {};
    const Act add = [](Client& client) { add_image(client, true); };
    all.push_back({"add an image", nothing, add});
    all.push_back({"add a file that is no image", nothing, [](Client& client) { add_image(client, false); }});
    all.push_back({"delete an image", add, [](Client& client) { remove_image(client, false); }});
    all.push_back({"expunge an image", add, [](Client& client) { remove_image(client, true); }});
}

}  // namespace

std::function<void(Client&)> with_source(const std::string& state) {
    return [state](Client& client) {
        client.wait(client.create("source", state != "stopped"));
        if (state == "paused") pause(client, "source");
        client.guest_writes("source");
    };
}

std::vector<Scenario> scenarios() {
    std::vector<Scenario> all;
    add_clones(all);
    add_vms(all);
    add_volumes(all);
    add_snapshots(all);
    add_checkpoints(all);
    add_chains(all);
    add_images(all);
    return all;
}

const Scenario& scenario(const std::vector<Scenario>& all, const std::string& name) {
    for (const Scenario& one : all)
        if (one.name == name) return one;
    throw std::runtime_error("there is no scenario '" + name + "'");
}

}  // namespace ramet::sim
