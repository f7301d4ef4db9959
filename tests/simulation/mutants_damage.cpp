#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "simulation/mutants.hpp"

namespace ramet::sim {

namespace fs = std::filesystem;

namespace {

constexpr int kPatienceMilliseconds = 5000;
constexpr const char* kClones = "clone 3 of a running source";

Mutant rows(std::string name, std::string told_by, std::string may_tell, std::string sql, std::string scenario = kClones) {
    Mutant mutant{std::move(name), std::move(scenario), std::move(told_by), std::move(may_tell)};
    mutant.damage = [sql = std::move(sql)](Client& client) { past_all_constraints(client, sql); };
    return mutant;
}

Mutant damage(std::string name, std::string told_by, std::string may_tell, std::function<void(Client&)> how, std::string scenario = kClones) {
    Mutant mutant{std::move(name), std::move(scenario), std::move(told_by), std::move(may_tell)};
    mutant.damage = std::move(how);
    return mutant;
}

Layer top_of(Client& client, const std::string& vm) {
    const VmInstance row = client.must_vm(vm);
    const std::vector<Volume> volumes = client.rows<Volume>({{"uuid", row.root_volume_uuid->text()}});
    return client.rows<Layer>({{"uuid", volumes.front().top_layer_uuid->text()}}).front();
}

std::string file_of(Client& client, const Layer& layer) { return client.rows<PrimaryStorage>().front().url + "/" + layer.path; }

// Any layer that others stand on.
Layer parent_of_clone(Client& client) {
    const Layer top = top_of(client, "source-clone-0");
    return client.rows<Layer>({{"uuid", top.parent_uuid->text()}}).front();
}

void open_for_writing(Client& client, const Layer& layer) {
    storage::DirStorages storages;
    const auto storage = storages.open(client.rows<PrimaryStorage>().front().url);
    if (storage.has_value()) (void)(*storage)->unseal(layer.path);
}

void add_files(std::vector<Mutant>& all) {
    all.push_back(
        damage("a disk's file is cut short", "I2", "I4 I6", [](Client& client) { fs::resize_file(file_of(client, top_of(client, "source")), 50); }));
    all.push_back(damage("a disk's file is lost", "I2", "I1 orphan", [](Client& client) { fs::remove(file_of(client, top_of(client, "source"))); }));
    all.push_back(damage("a file is there that is nobody's", "I1", "orphan",
                         [](Client& client) { std::ofstream(client.rows<PrimaryStorage>().front().url + "/nobodys.qcow2") << "x"; }));
    all.push_back(damage("half a copy is left", "I3", "I1 orphan",
                         [](Client& client) { std::ofstream(file_of(client, top_of(client, "source")) + ".partial") << "half"; }));
    all.push_back(
        damage("a layer with children can be written", "I5", "", [](Client& client) { open_for_writing(client, parent_of_clone(client)); }));
    all.push_back(damage("a seed is left", "I1", "orphan", [](Client& client) {
        std::ofstream(client.server().machine().data_dir + "/seeds/" + VmId::derived("mutant", "vm").text() + ".iso") << "seed";
    }));
    all.push_back(damage("a memory image is left", "I1", "orphan", [](Client& client) {
        fs::create_directories(client.server().machine().data_dir + "/memory/" + VmId::derived("mutant", "memory").text());
    }));
    all.push_back(damage("a tap is left", "I1", "orphan", [](Client& client) {
        hypervisor::PortSpec port;
        port.tap = "nobodys0";
        (void)client.server().machine().plumbing->plug(port);
    }));
    all.push_back(damage("a network is left", "I1", "orphan", [](Client& client) {
        hypervisor::NetworkSpec network;
        network.l3 = L3NetworkId::derived("mutant", "network");
        (void)client.server().machine().plumbing->ensure_network(network);
    }));
}

void add_processes(std::vector<Mutant>& all) {
    const auto change = [](std::string vm, void (*how)(test::FakeHypervisor::Domain&)) {
        return [vm = std::move(vm), how](Client& client) { client.vms().change(client.must_vm(vm).uuid, how); };
    };
    using Domain = test::FakeHypervisor::Domain;
    all.push_back(damage("a guest stays frozen", "I9", "", change("source", [](Domain& domain) { ++domain.freezes; })));
    all.push_back(
        damage("a source stays paused", "I10", "", change("source", [](Domain& domain) { domain.state = hypervisor::DomainState::paused; })));
    all.push_back(damage("a VM's process is gone", "I27", "I1 orphan",
                         change("source-clone-0", [](Domain& domain) { domain.state = hypervisor::DomainState::shut_off; })));
    all.push_back(damage("a process has no VM", "I27", "I1 orphan", [](Client& client) {
        client.vms().change(VmId::derived("mutant", "vm"), [](Domain& domain) { domain.state = hypervisor::DomainState::running; });
    }));
    all.push_back(damage("two VMs write one disk", "I26", "", [](Client& client) {
        const auto disks = client.vms().domain(client.must_vm("source-clone-0").uuid)->spec.disks;
        client.vms().change(client.must_vm("source-clone-1").uuid, [&](Domain& domain) { domain.spec.disks = disks; });
    }));
}

void add_chain_rows(std::vector<Mutant>& all) {
    const std::string top = "(SELECT topLayerUuid FROM volume WHERE uuid = (SELECT rootVolumeUuid FROM vm_instance WHERE name = 'source-clone-0'))";
    all.push_back(rows("a layer's row names another parent", "I4", "orphan", "UPDATE layer SET parentUuid = NULL WHERE uuid = " + top));
    all.push_back(rows("a layer's row says another size", "I2", "", "UPDATE layer SET size = size * 2 WHERE uuid = " + top));
    all.push_back(rows("a layer with children is not marked as sealed", "I5", "",
                       "UPDATE layer SET sealed = 0 WHERE uuid = (SELECT parentUuid FROM layer WHERE uuid = " + top + ")"));
    all.push_back(rows("a chain is a circle", "I6", "I4 I5 orphan", "UPDATE layer SET parentUuid = uuid WHERE uuid = " + top));
    all.push_back(rows("a layer lies outside of its storage", "I6", "I1 I2 orphan", "UPDATE layer SET path = '../' || path WHERE uuid = " + top));
    all.push_back(rows("a layer's parent has no row", "I6", "I4 I39 orphan",
                       "UPDATE layer SET parentUuid = '" + std::string(32, 'a') + "' WHERE uuid = " + top));
    all.push_back(rows("a Ready volume has no layer", "I2", "orphan I1", "UPDATE volume SET topLayerUuid = NULL WHERE topLayerUuid = " + top));
}

void add_job_rows(std::vector<Mutant>& all) {
    const std::string clone = " WHERE kind = 'clone-vm'";
    all.push_back(rows("a report counts wrong", "I13", "", "UPDATE job SET result = json_set(result, '$.result.numberOfClonedVm', 2)" + clone));
    all.push_back(rows("a report leaves an entry out", "I13", "", "UPDATE job SET result = json_remove(result, '$.result.inventories[2]')" + clone));
    all.push_back(rows("a clone has another job's uuid", "I15", "",
                       "UPDATE job SET result = json_set(result, '$.result.inventories[0].inventory.uuid', '" + std::string(32, 'b') + "')" + clone));
    all.push_back(rows("a job is stuck", "I17", "orphan", "UPDATE job SET state = 'Stuck'" + clone));
    all.push_back(rows("a job never ends", "I17", "orphan I18", "UPDATE job SET state = 'Running', finishDate = NULL" + clone));
    all.push_back(rows("an ended job has no end", "I18", "", "UPDATE job SET finishDate = NULL" + clone));
    all.push_back(rows("a job that has ended goes on", "I18", "I17 orphan", "UPDATE job SET state = 'Running'" + clone));
    all.push_back(rows("a step of an ended job is at work", "I32", "",
                       "UPDATE job_step SET status = 'running' WHERE jobUuid = (SELECT uuid FROM job" + clone + ")"));
    all.push_back(rows("a job is gone and its steps are not", "I32", "I39", "DELETE FROM job" + clone));
    all.push_back(rows("a reservation outlives its job", "I25", "orphan",
                       "UPDATE vm_instance SET ownerJobUuid = (SELECT uuid FROM job" + clone + ") WHERE name = 'source-clone-0'"));
}

void add_identity_rows(std::vector<Mutant>& all) {
    const std::string nic = "(SELECT n.uuid FROM vm_nic n JOIN vm_instance v ON v.uuid = n.vmInstanceUuid WHERE v.name = 'source-clone-0')";
    all.push_back(rows(
        "the unique index of MACs is dropped, and one is given twice", "I19", "",
        without_constraints("vm_nic") + "UPDATE vm_nic SET mac = (SELECT mac FROM vm_nic WHERE uuid <> " + nic + " LIMIT 1) WHERE uuid = " + nic));
    all.push_back(rows("the unique index of addresses is dropped, and one is given twice", "I20", "",
                       without_constraints("used_ip") + "UPDATE used_ip SET ip = (SELECT ip FROM used_ip WHERE vmNicUuid <> " + nic +
                           " LIMIT 1) WHERE vmNicUuid = " + nic));
    all.push_back(rows("a NIC shows another's address", "I20", "", "UPDATE vm_nic SET ip = '10.9.9.9' WHERE uuid = " + nic));
    all.push_back(rows("a host carries more than it has", "I23", "", "UPDATE host SET totalMemoryCapacity = 1000"));
    all.push_back(
        rows("a lease has ended and its VM is there", "I33", "", "UPDATE vm_instance SET leaseEndDate = 1000 WHERE name = 'source-clone-0'"));
    all.push_back(rows("a VM has no owner", "I34", "",
                       "DELETE FROM account_resource_ref WHERE resourceUuid = (SELECT uuid FROM vm_instance WHERE name = 'source-clone-0')"));
    all.push_back(rows("a tag is left", "I14", "",
                       "INSERT INTO system_tag VALUES ('" + std::string(32, 'c') + "', '" + std::string(32, 'd') +
                           "', 'VmInstanceVO', 'hostname::nobody', 'System', 0, 0, 0)"));
    all.push_back(rows("a VM is gone and its NIC is not", "I14", "I1 I27 I39 orphan", "DELETE FROM vm_instance WHERE name = 'source-clone-0'"));
    all.push_back(rows("an address is left", "I14", "I39 orphan I1", "DELETE FROM vm_nic WHERE uuid = " + nic));
    all.push_back(
        rows("a reference leads nowhere", "I39", "", "UPDATE vm_nic SET l3NetworkUuid = '" + std::string(32, 'e') + "' WHERE uuid = " + nic));
}

}  // namespace

void past_all_constraints(Client& client, const std::string& sql) {
    sqlite3* database = nullptr;
    char* problem = nullptr;
    const std::string file = client.server().machine().data_dir + "/ramet.db";
    if (sqlite3_open(file.c_str(), &database) != SQLITE_OK || sqlite3_busy_timeout(database, kPatienceMilliseconds) != SQLITE_OK ||
        sqlite3_exec(database, sql.c_str(), nullptr, nullptr, &problem) != SQLITE_OK)
        throw std::runtime_error("a mutant's statement does not work: " + sql + ": " + (problem == nullptr ? "" : problem));
    sqlite3_close(database);
}

std::string without_constraints(const std::string& table) {
    return "CREATE TABLE mutated AS SELECT * FROM " + table + "; DROP TABLE " + table + "; ALTER TABLE mutated RENAME TO " + table +
           "; CREATE UNIQUE INDEX mutated_key ON " + table + " (uuid);";
}

std::vector<Mutant> damage_mutants() {
    std::vector<Mutant> all;
    add_files(all);
    add_processes(all);
    add_chain_rows(all);
    add_job_rows(all);
    add_identity_rows(all);
    return all;
}

}  // namespace ramet::sim
