#include "simulation/picture.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <map>
#include <stdexcept>

#include "lifecycle/rows.hpp"
#include "model/snapshots.hpp"
#include "model/vm_identity.hpp"
#include "storage/file.hpp"
#include "storage/qcow2_header.hpp"
#include "store/table.hpp"

namespace ramet::sim {

namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

std::string without(std::string text, const std::string& part) {
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at)) text.erase(at, part.size());
    return text;
}

// Another slot lies elsewhere, and so does what lies beside its data directory.
std::string without_places(std::string text, const Machine& machine) {
    return without(without(std::move(text), machine.data_dir), fs::path(machine.data_dir).parent_path().string());
}

std::string picture_of(const hypervisor::DiskSpec& disk) {
    std::string text = " disk " + disk.volume.text() + " " + std::to_string(disk.device_id);
    for (const storage::Place& place : disk.chain_top_first) text += " > " + place.root + "/" + place.path;
    return text;
}

std::string picture_of(const test::FakeHypervisor::Domain& domain) {
    std::string text = std::to_string(static_cast<int>(domain.state)) + " " + std::to_string(domain.spec.cpu_num) + " " +
                       std::to_string(domain.spec.memory_bytes) + " " + std::to_string(domain.freezes - domain.thaws) +
                       (domain.background ? " background" : "") + " " + domain.from_memory;
    for (const hypervisor::DiskSpec& disk : domain.spec.disks) text += picture_of(disk);
    for (const hypervisor::NicSpec& nic : domain.spec.nics) text += " nic " + nic.mac + " " + nic.tap + (nic.link_up ? " up" : " down");
    return text;
}

// Of a file its name, size and rights, and of an image also what its header says.
std::string picture_of(const fs::directory_entry& entry) {
    struct stat status{};
    if (::lstat(entry.path().c_str(), &status) != 0) return {};
    std::string text = entry.path().string();
    if (!S_ISREG(status.st_mode)) return text;
    text += " " + std::to_string(status.st_size) + " " + std::to_string(status.st_mode);
    const storage::UniqueFd fd(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
    const Result<storage::Qcow2Header> header = storage::read_qcow2_header(fd.get(), status.st_size);
    if (header.has_value())
        text += " " + std::to_string(header->virtual_bytes) + " on " + storage::read_backing_name(fd.get(), *header).value_or("?");
    return text;
}

bool is_uuid(std::string_view text) {
    return text.size() == 32 && std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// Uuids are drawn, and drawn otherwise when one thing more was drawn before.
class Names {
public:
    explicit Names(Client& client) {
        for (const VmInstance& vm : client.rows<VmInstance>()) names_.emplace(vm.uuid.text(), vm.name);
        for (const Volume& volume : client.rows<Volume>()) names_.emplace(volume.uuid.text(), volume.name);
        for (const Image& image : client.rows<Image>()) names_.emplace(image.uuid.text(), "image " + image.name);
        for (const VmNic& nic : client.rows<VmNic>()) names_.emplace(nic.uuid.text(), "NIC " + nic.ip.value_or(""));
        for (const VolumeSnapshotGroup& group : client.rows<VolumeSnapshotGroup>()) names_.emplace(group.uuid.text(), group.name);
    }
    std::string shown(const std::string& text) const {
        std::string shown;
        for (std::size_t at = 0; at < text.size();) {
            const std::string word = text.substr(at, 32);
            if (!is_uuid(word)) {
                shown += text[at++];
                continue;
            }
            const auto name = names_.find(word);
            shown += "<" + (name == names_.end() ? "some uuid" : name->second) + ">";
            at += word.size();
        }
        return shown;
    }

private:
    std::map<std::string, std::string> names_;
};

// Without times, and without what was measured.
json::value steady(const json::value& value) {
    if (value.is_array()) {
        json::array items;
        for (const json::value& item : value.as_array()) items.push_back(steady(item));
        return items;
    }
    if (!value.is_object()) return value;
    json::object members;
    for (const auto& [key, member] : value.as_object()) {
        const bool moves = key.ends_with("Date") || key.ends_with("Ms") || key.ends_with("Seconds") || key.ends_with("Microseconds");
        if (!moves) members[key] = steady(member);
    }
    return members;
}

std::string steady(const std::string& text) {
    boost::system::error_code problem;
    const json::value parsed = json::parse(text, problem);
    return problem ? text : json::serialize(steady(parsed));
}

std::string shown(const store::Value& value) {
    if (const auto* text = std::get_if<std::string>(&value)) return steady(*text);
    if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
    return "-";
}

// Times, and what is measured, which moves with them: how long a job's parts took, what a file takes on the disk.
bool moves(std::string_view column) {
    return column.ends_with("Date") || column == "detail" || column == "actualSize" || column == "takenMs" || column == "firstSeen" ||
           column == "progress";
}

template <class Row>
void show_rows(Client& client, const PoolNames& pool, const Names& names, std::vector<std::string>& lines) {
    const TypeInfo& type = describe<Row>();
    std::string columns;
    for (const FieldInfo& field : type.fields) {
        const bool is_shown = !field.rules.relation && !field.rules.transient && !field.rules.internal && !moves(field.name);
        if (is_shown) columns += (columns.empty() ? "\"" : ", \"") + std::string(field.name) + "\"";
    }
    const Result<void> read = client.server().quiet_database().read([&](store::Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const std::vector<store::Values> rows, transaction.query("SELECT " + columns + " FROM " + std::string(type.table)));
        for (const store::Values& row : rows) {
            std::string line(type.table);
            for (const store::Value& value : row) line += " | " + shown(value);
            lines.push_back(names.shown(pool.named(line)));
        }
        return {};
    });
    if (!read.has_value()) lines.push_back(std::string(type.table) + " cannot be read: " + read.error().detail);
}

std::vector<std::string> sorted(std::vector<std::string> lines) {
    std::ranges::sort(lines);
    return lines;
}

std::vector<std::string> pictures_of_disks(const hypervisor::DomainSpec& spec) {
    std::vector<std::string> all;
    for (const hypervisor::DiskSpec& disk : spec.disks) all.push_back(picture_of(disk));
    return sorted(std::move(all));
}

std::vector<std::string> pictures_of_nics(const hypervisor::DomainSpec& spec) {
    std::vector<std::string> all;
    for (const hypervisor::NicSpec& nic : spec.nics) all.push_back(nic.mac + " " + nic.tap + (nic.link_up ? " up" : " down"));
    return sorted(std::move(all));
}

}  // namespace

PoolNames::PoolNames(Client& client) {
    const Result<void> read = client.server().quiet_database().read([&](store::Transaction& transaction) -> Result<void> {
        names_.clear();
        for (const std::string table :
             {"account", "zone", "cluster", "host", "primary_storage", "backup_storage", "primary_storage_cluster_ref", "backup_storage_zone_ref",
              "instance_offering", "disk_offering", "l2_network", "l2_network_cluster_ref", "l3_network", "ip_range", "global_config"}) {
            TRY_ASSIGN(const std::vector<store::Values> rows, transaction.query("SELECT uuid FROM " + table + " ORDER BY rowid"));
            for (std::size_t i = 0; i < rows.size(); ++i)
                names_.emplace_back(std::get<std::string>(rows[i].at(0)), "<" + table + " " + std::to_string(i) + ">");
        }
        // Layers of images have uuids that are made from those.
        TRY_ASSIGN(const std::vector<store::Values> layers, transaction.query(R"(SELECT uuid, path FROM layer WHERE "imageUuid" IS NOT NULL)"));
        for (const store::Values& layer : layers) names_.emplace_back(std::get<std::string>(layer.at(0)), std::get<std::string>(layer.at(1)));
        // And of garbage from where it lies.
        TRY_ASSIGN(const std::vector<store::Values> garbage, transaction.query("SELECT uuid, what FROM garbage"));
        for (const store::Values& thing : garbage) names_.emplace_back(std::get<std::string>(thing.at(0)), std::get<std::string>(thing.at(1)));
        return {};
    });
    if (!read.has_value()) throw std::runtime_error("the pool cannot be read: " + read.error().detail);
}

std::string PoolNames::named(std::string text) const {
    for (const auto& [uuid, name] : names_)
        for (std::size_t at = text.find(uuid); at != std::string::npos; at = text.find(uuid, at)) text.replace(at, uuid.size(), name);
    return text;
}

std::string machine_picture(const Machine& machine) {
    std::string text;
    const std::map<VmId, test::FakeHypervisor::Domain> domains = machine.hypervisor->domains();
    for (const auto& [vm, domain] : domains) text += "vm " + vm.text() + " " + picture_of(domain) + "\n";
    const std::vector<std::string> taps = machine.plumbing->taps().value();
    const std::vector<L3NetworkId> networks = machine.plumbing->networks().value();
    for (const std::string& tap : taps) text += "tap " + tap + "\n";
    for (const L3NetworkId& network : networks) text += "network " + network.text() + "\n";
    std::vector<std::string> files;
    std::error_code error;
    for (fs::recursive_directory_iterator entry(machine.data_dir, error), end; !error && entry != end; entry.increment(error))
        if (!entry->path().filename().string().starts_with("ramet.db")) files.push_back(picture_of(*entry));
    for (const std::string& file : sorted(std::move(files))) text += "file " + file + "\n";
    return without_places(std::move(text), machine);
}

std::string whole_picture(Client& client) {
    const PoolNames pool(client);
    std::vector<std::string> lines;
    const Result<void> read = client.server().quiet_database().read([&](store::Transaction& transaction) -> Result<void> {
        lines.clear();
        TRY_ASSIGN(const std::vector<store::Values> columns,
                   transaction.query("SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name <> "
                                     "'schema_migration' ORDER BY 1, 2"));
        std::map<std::string, std::string> of_table;
        for (const store::Values& column : columns) {
            const std::string& name = std::get<std::string>(column.at(1));
            std::string& names = of_table[std::get<std::string>(column.at(0))];
            if (!moves(name)) names += (names.empty() ? "\"" : ", \"") + name + "\"";
        }
        for (const auto& [table, names] : of_table) {
            TRY_ASSIGN(const std::vector<store::Values> rows, transaction.query("SELECT " + names + " FROM \"" + table + "\""));
            for (const store::Values& row : rows) {
                std::string line = table;
                for (const store::Value& value : row) line += " | " + shown(value);
                lines.push_back(pool.named(std::move(line)));
            }
        }
        return {};
    });
    std::string text = read.has_value() ? "" : "the rows cannot be read: " + read.error().detail;
    for (const std::string& line : sorted(std::move(lines))) text += line + "\n";
    return without_places(std::move(text), client.server().machine()) + pool.named(machine_picture(client.server().machine()));
}

std::string clients_view(Client& client) {
    const PoolNames pool(client);
    const Names names(client);
    std::vector<std::string> lines;
    show_rows<VmInstance>(client, pool, names, lines);
    show_rows<Volume>(client, pool, names, lines);
    show_rows<VmNic>(client, pool, names, lines);
    show_rows<UsedIp>(client, pool, names, lines);
    show_rows<SystemTag>(client, pool, names, lines);
    show_rows<VolumeSnapshot>(client, pool, names, lines);
    show_rows<VolumeSnapshotTree>(client, pool, names, lines);
    show_rows<VolumeSnapshotGroup>(client, pool, names, lines);
    show_rows<VolumeSnapshotGroupRef>(client, pool, names, lines);
    show_rows<Checkpoint>(client, pool, names, lines);
    show_rows<VmIdentity>(client, pool, names, lines);
    show_rows<Image>(client, pool, names, lines);
    show_rows<ImageBackupStorageRef>(client, pool, names, lines);
    show_rows<Job>(client, pool, names, lines);
    std::string text;
    for (const std::string& line : sorted(std::move(lines))) text += line + "\n";
    return without_places(std::move(text), client.server().machine());
}

std::vector<std::string> processes_unlike_their_rows(Client& client) {
    std::vector<std::string> found;
    const std::vector<std::string> taps = client.server().machine().plumbing->taps().value();
    const std::vector<L3NetworkId> networks = client.server().machine().plumbing->networks().value();
    for (const VmInstance& vm : client.rows<VmInstance>()) {
        const auto domain = client.vms().domain(vm.uuid);
        if (!domain || domain->state == hypervisor::DomainState::shut_off || vm.owner_job_uuid) continue;
        const Result<hypervisor::DomainSpec> wanted =
            store::read(client.server().quiet_database(), [&](store::Transaction& transaction) -> Result<hypervisor::DomainSpec> {
                TRY_ASSIGN(const lifecycle::VmRows rows, lifecycle::load_vm(transaction, vm.uuid));
                return lifecycle::domain_spec(transaction, rows, {}, true);
            });
        const std::string who = "process: that of VM " + vm.uuid.text() + " ";
        if (!wanted.has_value()) {
            found.push_back(who + "has no whole rows: " + wanted.error().message);
            continue;
        }
        if (pictures_of_disks(*wanted) != pictures_of_disks(domain->spec)) found.push_back(who + "has other disks than its rows");
        if (pictures_of_nics(*wanted) != pictures_of_nics(domain->spec)) found.push_back(who + "has other NICs than its rows");
        if (wanted->cpu_num != domain->spec.cpu_num || wanted->memory_bytes != domain->spec.memory_bytes)
            found.push_back(who + "has other CPUs or memory than its rows");
        for (const hypervisor::NicSpec& nic : wanted->nics)
            if (!nic.tap.empty() && std::ranges::find(taps, nic.tap) == taps.end()) found.push_back(who + "has a NIC whose tap is not there");
        const std::vector<VmNic> nics = client.rows<VmNic>({{"vmInstanceUuid", vm.uuid.text()}});
        for (const VmNic& nic : nics)
            if (std::ranges::find(networks, nic.l3_network_uuid) == networks.end())
                found.push_back(who + "has a NIC in a network that is not set up");
    }
    const std::map<VmId, test::FakeHypervisor::Domain> domains = client.vms().domains();
    for (const auto& [vm, domain] : domains)
        if (domain.state == hypervisor::DomainState::shut_off && client.rows<VmInstance>({{"uuid", vm.text()}}).empty())
            found.push_back("process: that of VM " + vm.text() + ", which has no row, has left its run directory");
    return found;
}

}  // namespace ramet::sim
