// What can be wrong with one call of a port.
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>

#include "simulation/generated.hpp"
#include "storage/dir/dir_storage.hpp"

namespace ramet::sim {

namespace fs = std::filesystem;

namespace {

using Domain = test::FakeHypervisor::Domain;
using hypervisor::DomainState;

constexpr std::array kEffects{"create_empty",   "create_overlay",
                              "set_backing",    "full_copy",
                              "reflink_copy",   "merge_layers",
                              "import_file",    "seal",
                              "unseal",         "remove",
                              "move",           "start",
                              "stop",           "pause",
                              "resume",         "reset",
                              "forget",         "snapshot_disks",
                              "swap_nic",       "capture_memory",
                              "shorten_disk",   "start_from_memory",
                              "remove_memory",  "attach_disk",
                              "detach_disk",    "set_link",
                              "plug",           "unplug",
                              "ensure_network", "remove_network",
                              "set_port",       "remove_all"};

// Questions whose answer decides what is done. The others ask for numbers that people are shown, or for what the simulated guest says.
constexpr std::array kQuestions{"storage.exists", "hypervisor.state", "hypervisor.disks_untouched", "hypervisor.disk_tops"};

// --- files

std::vector<std::string> storage_roots(Server& server) {
    std::vector<std::string> roots;
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(server.machine().data_dir, error))
        if (entry.is_directory()) roots.push_back(entry.path().string());
    std::ranges::sort(roots);
    return roots;
}

// The storage that has this file.
std::optional<std::string> root_of(Server& server, const std::string& path) {
    for (const std::string& root : storage_roots(server))
        if (fs::is_regular_file(root + "/" + path)) return root;
    return std::nullopt;
}

// The next image of the same storage.
std::optional<std::string> another_file(const std::string& root, const std::string& but) {
    std::vector<std::string> files;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root))
        if (entry.is_regular_file() && entry.path().extension() == ".qcow2") files.push_back(fs::relative(entry.path(), root).string());
    std::erase(files, but);
    std::ranges::sort(files);
    const auto next = std::ranges::upper_bound(files, but);
    if (files.empty()) return std::nullopt;
    return next == files.end() ? files.front() : *next;
}

using StorageCall = Result<void> (*)(storage::PrimaryStorage&, const std::string& path);

bool on_another_file(Server& server, const Call& call, StorageCall how) {
    storage::DirStorages storages;
    const std::optional<std::string> root = root_of(server, call.about);
    const std::optional<std::string> other = root ? another_file(*root, call.about) : std::nullopt;
    return other && how(**storages.open(*root), *other).has_value();
}

// The name of the file that was written gets something behind it.
bool renamed(Server& server, const Call& call, const char* behind, bool keeps_it) {
    const std::optional<std::string> root = root_of(server, call.about);
    if (!root) return false;
    const std::string file = *root + "/" + call.about;
    if (keeps_it)
        fs::copy_file(file, file + behind);
    else
        fs::rename(file, file + behind);
    return true;
}

bool on_another_base(Server& server, const Call& call, bool on_none) {
    storage::DirStorages storages;
    const std::optional<std::string> root = root_of(server, call.about);
    const std::optional<std::string> other = root ? another_file(*root, call.about) : std::nullopt;
    if (!other) return false;
    const std::optional<storage::Place> base = on_none ? std::nullopt : std::optional(storage::Place{*root, *other});
    return (*storages.open(*root))->set_backing(call.about, base).has_value();
}

bool of_another_size(Server& server, const Call& call) {
    storage::DirStorages storages;
    const std::optional<std::string> root = root_of(server, call.about);
    if (!root) return false;
    const std::shared_ptr<storage::PrimaryStorage> storage = *storages.open(*root);
    constexpr std::int64_t kOtherSize = 5 << 20;
    return storage->remove(call.about).has_value() && storage->create_empty(call.about, kOtherSize, storage::Provisioning::thin).has_value();
}

bool cut_short(Server& server, const Call& call) {
    constexpr std::uintmax_t kBytes = 50;
    const std::optional<std::string> root = root_of(server, call.about);
    if (!root || fs::file_size(*root + "/" + call.about) <= kBytes) return false;
    fs::resize_file(*root + "/" + call.about, kBytes);
    return true;
}

// --- processes

std::optional<VmId> another_vm(Server& server, const Call& call, DomainState in) {
    const std::map<VmId, Domain> domains = server.machine().hypervisor->domains();
    for (const auto& [vm, domain] : domains)
        if (vm.text() != call.about && domain.state == in) return vm;
    return std::nullopt;
}

using VmCall = Result<void> (*)(test::FakeHypervisor&, const VmId&);

bool on_another_vm(Server& server, const Call& call, DomainState in, VmCall how) {
    const std::optional<VmId> other = another_vm(server, call, in);
    return other && how(*server.machine().hypervisor, *other).has_value();
}

// What the call's VM is made to be; false: it is not such a one.
template <class Change>
bool changed(Server& server, const Call& call, const Change& change) {
    const VmId vm = VmId::trusted(call.about);
    if (!server.machine().hypervisor->domain(vm)) return false;
    bool done = false;
    server.machine().hypervisor->change(vm, [&](Domain& domain) { done = domain.state != DomainState::shut_off && change(domain); });
    return done;
}

bool under_another_uuid(Server& server, const Call& call) {
    const auto domain = server.machine().hypervisor->domain(VmId::trusted(call.about));
    if (!domain) return false;
    server.machine().hypervisor->change(VmId::derived("mutant", call.about), [&](Domain& other) { other = *domain; });
    server.machine().hypervisor->change(VmId::trusted(call.about), [](Domain& mine) { mine.state = DomainState::shut_off; });
    return true;
}

bool with_anothers_disks(Server& server, const Call& call) {
    const std::optional<VmId> other = another_vm(server, call, DomainState::running);
    if (!other) return false;
    const auto disks = server.machine().hypervisor->domain(*other)->spec.disks;
    return changed(server, call, [&](Domain& domain) {
        domain.spec.disks = disks;
        return true;
    });
}

bool drops_last_disk(Domain& domain) {
    if (domain.spec.disks.size() < 2) return false;
    domain.spec.disks.pop_back();
    return true;
}

bool drops_lowest_layer(Domain& domain) {
    if (domain.spec.disks.empty() || domain.spec.disks.front().chain_top_first.size() < 2) return false;
    domain.spec.disks.front().chain_top_first.pop_back();
    return true;
}

// A disk that goes on being written where it was before the cut.
bool uncut_disk(Domain& domain) {
    if (domain.spec.disks.empty() || domain.spec.disks.back().chain_top_first.size() < 2) return false;
    auto& chain = domain.spec.disks.back().chain_top_first;
    chain.erase(chain.begin());
    return true;
}

bool other_nic(Domain& domain) {
    if (domain.spec.nics.empty()) return false;
    domain.spec.nics.front().mac = "02:00:00:00:00:01";
    return true;
}

bool other_tap(Domain& domain) {
    if (domain.spec.nics.empty()) return false;
    domain.spec.nics.front().tap = "mutant0";
    return true;
}

bool flips_link(Domain& domain) {
    if (domain.spec.nics.empty()) return false;
    domain.spec.nics.front().link_up = !domain.spec.nics.front().link_up;
    return true;
}

bool less_memory(Domain& domain) {
    domain.spec.memory_bytes /= 2;
    return true;
}
bool more_cpus(Domain& domain) {
    ++domain.spec.cpu_num;
    return true;
}
bool not_thawed(Domain& domain) {
    ++domain.freezes;
    return true;
}
bool left_in_background(Domain& domain) {
    domain.background = true;
    return true;
}
bool left_paused(Domain& domain) {
    if (domain.state != DomainState::running) return false;
    domain.state = DomainState::paused;
    return true;
}
bool left_running(Domain& domain) {
    if (domain.state != DomainState::paused) return false;
    domain.state = DomainState::running;
    return true;
}

template <bool (*Change)(Domain&)>
bool changes(Server& server, const Call& call) {
    return changed(server, call, Change);
}

// --- taps and networks

bool another_tap(Server& server, const Call& call, bool plugs) {
    hypervisor::PortSpec port;
    port.tap = "mutant0";
    if (plugs) return server.machine().plumbing->plug(port).has_value();
    std::vector<std::string> taps = server.machine().plumbing->taps().value();
    std::erase(taps, call.about);
    if (taps.empty()) return false;
    port.tap = taps.front();
    return server.machine().plumbing->unplug(port).has_value();
}

bool another_network(Server& server, const Call&, bool makes) {
    hypervisor::NetworkSpec network;
    network.l3 = L3NetworkId::derived("mutant", "network");
    return makes && server.machine().plumbing->ensure_network(network).has_value();
}

const std::vector<std::string_view> kWriting{"storage.create_empty", "storage.create_overlay", "storage.full_copy",
                                             "storage.reflink_copy", "storage.merge_layers",   "storage.import_file"};
const std::vector<std::string_view> kStarting{"hypervisor.start", "hypervisor.start_from_memory"};
const std::vector<std::string_view> kCapturing{"hypervisor.snapshot_disks", "hypervisor.capture_memory"};

void add_file_bugs(std::vector<CallBug>& all) {
    all.push_back({"another file is removed", {"storage.remove"}, true, [](Server& server, const Call& call) {
                       return on_another_file(server, call, [](auto& storage, const auto& path) { return storage.remove(path); });
                   }});
    all.push_back({"another file is sealed", {"storage.seal"}, true, [](Server& server, const Call& call) {
                       return on_another_file(server, call, [](auto& storage, const auto& path) { return storage.seal(path); });
                   }});
    all.push_back({"another file is unsealed", {"storage.unseal"}, true, [](Server& server, const Call& call) {
                       return on_another_file(server, call, [](auto& storage, const auto& path) { return storage.unseal(path); });
                   }});
    all.push_back({"the file gets another name", kWriting, false,
                   [](Server& server, const Call& call) { return renamed(server, call, ".other.qcow2", false); }});
    all.push_back({"the file keeps its provisional name", kWriting, false,
                   [](Server& server, const Call& call) { return renamed(server, call, ".partial", false); }});
    all.push_back({"a provisional file is left beside it", kWriting, false,
                   [](Server& server, const Call& call) { return renamed(server, call, ".partial", true); }});
    all.push_back({"the file is cut short", kWriting, false, &cut_short});
    all.push_back({"the disk has another size", kWriting, false, &of_another_size});
    const std::vector<std::string_view> standing{"storage.create_overlay", "storage.merge_layers", "storage.set_backing"};
    all.push_back(
        {"the file stands on another one", standing, false, [](Server& server, const Call& call) { return on_another_base(server, call, false); }});
    all.push_back({"the file stands on none", standing, false, [](Server& server, const Call& call) { return on_another_base(server, call, true); }});
}

void add_process_bugs(std::vector<CallBug>& all) {
    all.push_back({"another VM is stopped", {"hypervisor.stop"}, true, [](Server& server, const Call& call) {
                       return on_another_vm(server, call, DomainState::running,
                                            [](auto& vms, const VmId& vm) { return vms.stop(vm, hypervisor::StopMode::cold, {}); });
                   }});
    all.push_back({"another VM is paused", {"hypervisor.pause"}, true, [](Server& server, const Call& call) {
                       return on_another_vm(server, call, DomainState::running, [](auto& vms, const VmId& vm) { return vms.pause(vm); });
                   }});
    all.push_back({"the process has another uuid", kStarting, false, &under_another_uuid});
    all.push_back({"the process has another VM's disks", kStarting, false, &with_anothers_disks});
    all.push_back({"the process has one disk less", kStarting, false, &changes<drops_last_disk>});
    all.push_back({"the process does not have its lowest layer", kStarting, false, &changes<drops_lowest_layer>});
    all.push_back({"the process has another MAC", kStarting, false, &changes<other_nic>});
    all.push_back({"the process has another tap", kStarting, false, &changes<other_tap>});
    all.push_back({"the process has half its memory", kStarting, false, &changes<less_memory>});
    all.push_back({"the process has one CPU more", kStarting, false, &changes<more_cpus>});
    all.push_back({"the VM is left paused",
                   {"hypervisor.start", "hypervisor.start_from_memory", "hypervisor.snapshot_disks", "hypervisor.capture_memory",
                    "hypervisor.shorten_disk", "hypervisor.attach_disk"},
                   false,
                   &changes<left_paused>});
    all.push_back({"the VM goes on though it was paused", kCapturing, false, &changes<left_running>});
    all.push_back({"the guest is not thawed", kCapturing, false, &changes<not_thawed>});
    all.push_back({"the VM is left in the background", kCapturing, false, &changes<left_in_background>});
    all.push_back({"one disk is not cut", kCapturing, false, &changes<uncut_disk>});
    all.push_back({"the last disk is gone",
                   {"hypervisor.attach_disk", "hypervisor.detach_disk", "hypervisor.snapshot_disks"},
                   false,
                   &changes<drops_last_disk>});
    all.push_back({"one layer too many is let go of", {"hypervisor.shorten_disk", "hypervisor.snapshot_disks"}, false, &changes<drops_lowest_layer>});
    all.push_back({"another MAC is put in", {"hypervisor.swap_nic"}, false, &changes<other_nic>});
    all.push_back(
        {"the link is the other way", {"hypervisor.set_link", "hypervisor.start", "hypervisor.start_from_memory"}, false, &changes<flips_link>});
}

void add_network_bugs(std::vector<CallBug>& all) {
    all.push_back(
        {"another tap is plugged", {"plumbing.plug"}, true, [](Server& server, const Call& call) { return another_tap(server, call, true); }});
    all.push_back(
        {"another tap is unplugged", {"plumbing.unplug"}, true, [](Server& server, const Call& call) { return another_tap(server, call, false); }});
    all.push_back({"another network is set up", {"plumbing.ensure_network"}, true, [](Server& server, const Call& call) {
                       return another_network(server, call, true);
                   }});
}

}  // namespace

bool has_effect(const Call& call) { return std::ranges::find(kEffects, call.operation) != kEffects.end() && call.port != Port::database; }

bool is_question(std::string_view site) { return std::ranges::find(kQuestions, site) != kQuestions.end(); }

const std::vector<CallBug>& call_bugs() {
    static const std::vector<CallBug> all = [] {
        std::vector<CallBug> made;
        add_file_bugs(made);
        add_process_bugs(made);
        add_network_bugs(made);
        return made;
    }();
    return all;
}

}  // namespace ramet::sim
