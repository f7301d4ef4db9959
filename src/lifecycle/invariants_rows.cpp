// The invariants that rows alone, or rows and processes, can tell.
#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <map>
#include <mutex>

#include "api/json.hpp"
#include "base/limits.hpp"
#include "base/patience.hpp"
#include "base/task_group.hpp"
#include "lifecycle/invariants.hpp"
#include "resources/global_configs.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle::checks {

namespace json = boost::json;
using store::Transaction;

namespace {

constexpr std::int64_t kClonesLookedAt = 200;            // the newest; older reports cannot have changed
constexpr std::int64_t kLeaseLateMilliseconds = 10'000;  // an end is acted on within 2 s; the removal itself takes a while

// The types whose rows are made together with their owner's and go with it.
constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kOwned{{{"VmInstanceVO", "vm_instance"},
                                                                               {"VolumeVO", "volume"},
                                                                               {"VmNicVO", "vm_nic"},
                                                                               {"VolumeSnapshotVO", "volume_snapshot"},
                                                                               {"VolumeSnapshotGroupVO", "volume_snapshot_group"},
                                                                               {"CheckpointVO", "checkpoint"}}};

// The pool's, which are made likewise and seldom go.
constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kOwnedPool{{{"ZoneVO", "zone"},
                                                                                   {"ClusterVO", "cluster"},
                                                                                   {"PrimaryStorageVO", "primary_storage"},
                                                                                   {"BackupStorageVO", "backup_storage"},
                                                                                   {"L2NetworkVO", "l2_network"},
                                                                                   {"L3NetworkVO", "l3_network"},
                                                                                   {"IpRangeVO", "ip_range"},
                                                                                   {"InstanceOfferingVO", "instance_offering"},
                                                                                   {"DiskOfferingVO", "disk_offering"}}};

bool being_made(const VmInstance& vm) { return vm.owner_job_uuid.has_value(); }

bool has_job(const Rows& rows, const VmInstance& vm) {
    return being_made(vm) ||
           std::ranges::any_of(rows.unfinished, [&](const Job& job) { return job.target_uuid == vm.uuid.text() && job.state != JobState::stuck; });
}

// A job goes back on it, which it may be unable to do because of the very thing that is looked for.
bool is_waited_for(const Rows& rows, const VmInstance& vm) {
    return std::ranges::any_of(rows.unfinished, [&](const Job& job) { return job.target_uuid == vm.uuid.text() && job.state == JobState::undoing; });
}

std::string hung_vm(const VmInstance& vm) {
    return "VM " + vm.uuid.text() + " ('" + vm.name +
           "') does not answer: its QEMU process hangs. See whether its host's storage or memory is "
           "short; it goes on by itself once it can. If it does not, pull its plug with `ramet vm stop --cold " +
           vm.name + "` and start it again";
}

// One finding for each row of a query of one text column.
Result<Findings> each_of(Parts& parts, std::string_view sql, const std::string& what) {
    return store::read(parts.database(), [&](Transaction& transaction) -> Result<Findings> {
        Findings findings;
        TRY_ASSIGN(const std::vector<store::Values> rows, transaction.query(sql));
        for (const store::Values& row : rows) {
            const auto* text = std::get_if<std::string>(&row.at(0));
            findings.push_back(what + ": " + (text == nullptr ? "?" : *text));
        }
        return findings;
    });
}

Result<void> append(Result<Findings> more, Findings& findings) {
    if (!more.has_value()) return std::unexpected(more.error());
    findings.insert(findings.end(), more->begin(), more->end());
    return {};
}

struct CloneReport {
    JobId job;
    std::size_t names = 0;
    json::object result;
};

Result<std::vector<CloneReport>> newest_clone_reports(Parts& parts) {
    TRY_ASSIGN(const std::vector<store::Values> rows, store::read(parts.database(), [](Transaction& transaction) {
                   return transaction.query(
                       "SELECT uuid, plan, result FROM job WHERE kind = 'clone-vm' AND state = 'Succeeded' "
                       "ORDER BY \"createDate\" DESC LIMIT $1",
                       {kClonesLookedAt});
               }));
    std::vector<CloneReport> reports;
    for (const store::Values& row : rows) {
        TRY_ASSIGN(const json::value plan, api::parse_json(std::get<std::string>(row.at(1))));
        const json::value* clones = plan.as_object().if_contains("clones");
        if (clones == nullptr || !clones->is_array()) continue;
        const auto* text = std::get_if<std::string>(&row.at(2));
        json::value result;  // none: nobody was told what became of the names
        if (text != nullptr) { TRY_ASSIGN(result, api::parse_json(*text)); }
        const json::value* inner = result.is_object() ? result.as_object().if_contains("result") : nullptr;
        const bool is_whole = inner != nullptr && inner->is_object();
        reports.push_back(
            {JobId::trusted(std::get<std::string>(row.at(0))), clones->as_array().size(), is_whole ? inner->as_object() : json::object()});
    }
    return reports;
}

}  // namespace

// Asks them side by side: one that hangs keeps nobody waiting, and is told of.
Result<Findings> nothing_stays_paused(Parts& parts, const Survey& survey) {
    std::vector<const VmInstance*> asked;
    for (const VmInstance& vm : survey.rows.vms) {
        const bool is_on = vm.state == VmState::running || vm.state == VmState::paused;
        if (is_on && (!has_job(survey.rows, vm) || is_waited_for(survey.rows, vm))) asked.push_back(&vm);
    }
    std::mutex mutex;
    std::map<std::size_t, std::string> found;
    for_each_parallel(asked.size(), limits::kVmsAskedAtOnce, [&](std::size_t index) {
        const VmInstance& vm = *asked[index];
        const Patience patience = Patience::at_most(kDoctorPatience);
        const Result<hypervisor::DomainState> state = parts.hypervisor.state(vm.uuid);
        std::string finding;
        if (!state.has_value() && state.error().code == ErrorCode::timeout)
            finding = hung_vm(vm);
        else if (state.has_value() && *state == hypervisor::DomainState::paused && vm.state == VmState::running && !has_job(survey.rows, vm))
            finding = "VM " + vm.uuid.text() + " is Running and its CPUs stand";
        if (finding.empty()) return;
        const std::lock_guard lock(mutex);
        found.emplace(index, std::move(finding));
    });
    Findings findings;
    for (auto& [index, finding] : found) findings.push_back(std::move(finding));
    return findings;
}

Result<Findings> reports_add_up(Parts& parts, const Survey&) {
    Findings findings;
    TRY_ASSIGN(const std::vector<CloneReport> reports, newest_clone_reports(parts));
    for (const CloneReport& report : reports) {
        const json::value* entries = report.result.if_contains("inventories");
        const json::value* number = report.result.if_contains("numberOfClonedVm");
        const std::string job = "job " + report.job.text();
        if (entries == nullptr || !entries->is_array() || number == nullptr || !number->is_int64()) {
            findings.push_back(job + " has no proper result");
            continue;
        }
        std::int64_t made = 0;
        bool each_one_of_both = true;
        for (const json::value& entry : entries->as_array()) {
            const bool inventory = entry.is_object() && entry.as_object().contains("inventory");
            each_one_of_both = each_one_of_both && entry.is_object() && inventory != entry.as_object().contains("error");
            made += inventory ? 1 : 0;
        }
        if (made != number->as_int64() || !each_one_of_both || entries->as_array().size() != report.names)
            findings.push_back(job + ": its numbers do not add up");
    }
    return findings;
}

Result<Findings> failed_names_leave_nothing(Parts& parts, const Survey&) {
    Findings findings;
    TRY(append(each_of(parts, R"(SELECT uuid FROM vm_nic WHERE "vmInstanceUuid" NOT IN (SELECT uuid FROM vm_instance))", "NIC without VM"),
               findings));
    TRY(append(each_of(parts, R"(SELECT ip FROM used_ip WHERE "vmNicUuid" NOT IN (SELECT uuid FROM vm_nic))", "address without NIC"), findings));
    TRY(append(
        each_of(
            parts,
            R"(SELECT uuid FROM volume WHERE type = 'Root' AND ("vmInstanceUuid" IS NULL OR "vmInstanceUuid" NOT IN (SELECT uuid FROM vm_instance)))",
            "root volume without VM"),
        findings));
    TRY(append(
        each_of(parts, R"(SELECT tag FROM system_tag WHERE "resourceType" = 'VmInstanceVO' AND "resourceUuid" NOT IN (SELECT uuid FROM vm_instance))",
                "tag without VM"),
        findings));
    for (const auto& [type, table] : kOwned) {
        const std::string sql = R"(SELECT "resourceUuid" FROM account_resource_ref WHERE "resourceType" = ')" + std::string(type) +
                                R"(' AND "resourceUuid" NOT IN (SELECT uuid FROM )" + std::string(table) + ")";
        TRY(append(each_of(parts, sql, "owner of a resource that is gone"), findings));
    }
    return findings;
}

Result<Findings> clones_have_the_uuids_of_their_jobs(Parts& parts, const Survey&) {
    Findings findings;
    TRY_ASSIGN(const std::vector<CloneReport> reports, newest_clone_reports(parts));
    for (const CloneReport& report : reports) {
        const json::value* entries = report.result.if_contains("inventories");
        if (entries == nullptr || !entries->is_array()) continue;
        for (std::size_t i = 0; i < entries->as_array().size(); ++i) {
            const json::value& entry = entries->as_array()[i];
            const json::value* inventory = entry.is_object() ? entry.as_object().if_contains("inventory") : nullptr;
            if (inventory == nullptr || !inventory->is_object()) continue;
            const json::value* uuid = inventory->as_object().if_contains("uuid");
            const std::string wanted = VmId::derived(report.job.text(), "vm/" + std::to_string(i)).text();
            if (uuid == nullptr || !uuid->is_string() || std::string_view(uuid->as_string()) != wanted)
                findings.push_back("job " + report.job.text() + ": clone " + std::to_string(i) + " is not VM " + wanted);
        }
    }
    return findings;
}

Result<Findings> no_job_is_stuck(Parts&, const Survey& survey) {
    Findings findings;
    for (const Job& job : survey.rows.unfinished) {
        if (job.state != JobState::stuck) continue;
        findings.push_back("job " + job.uuid.text() + " (" + job.api_name +
                           ") is stuck, its undo failed: `ramet job show` says why, `ramet job retry` tries again");
    }
    return findings;
}

Result<Findings> ended_jobs_have_ended(Parts& parts, const Survey&) {
    return each_of(parts,
                   R"(SELECT uuid FROM job WHERE (state IN ('Queued', 'Running', 'Undoing') AND "finishDate" IS NOT NULL) )"
                   R"(OR (state IN ('Succeeded', 'Failed', 'Canceled') AND "finishDate" IS NULL))",
                   "job whose state and end do not fit");
}

Result<Findings> macs_and_uuids_are_unique(Parts& parts, const Survey& survey) {
    Findings findings;
    TRY(append(each_of(parts, "SELECT lower(mac) FROM vm_nic GROUP BY lower(mac) HAVING COUNT(*) > 1", "MAC given twice"), findings));
    TRY(append(
        each_of(parts, "SELECT uuid FROM vm_instance WHERE uuid IN (SELECT uuid FROM volume UNION SELECT uuid FROM vm_nic)", "uuid given twice"),
        findings));
    std::map<std::string, int> processes;
    for (const VmId& domain : survey.objects.domains)
        if (++processes[domain.text()] == 2) findings.push_back("two processes of VM " + domain.text());
    return findings;
}

Result<Findings> addresses_are_unique(Parts& parts, const Survey&) {
    Findings findings;
    TRY(append(each_of(parts, R"(SELECT ip FROM used_ip GROUP BY "l3NetworkUuid", ip HAVING COUNT(*) > 1)", "address given twice"), findings));
    TRY(append(
        each_of(parts, R"(SELECT n.uuid FROM vm_nic n JOIN used_ip u ON u."vmNicUuid" = n.uuid WHERE u.ip <> n.ip)", "NIC with another's address"),
        findings));
    return findings;
}

Result<Findings> hosts_hold_what_they_carry(Parts& parts, const Survey& survey) {
    Findings findings;
    TRY_ASSIGN(const double memory_ratio,
               store::read(parts.database(), [](store::Transaction& transaction) { return resources::memory_ratio(transaction); }));
    for (const Host& host : survey.rows.hosts) {
        std::int64_t cpus = 0;
        std::int64_t memory = 0;
        for (const VmInstance& vm : survey.rows.vms) {
            if (vm.host_uuid != host.uuid) continue;
            cpus += vm.cpu_num;
            memory += vm.memory_size;
        }
        const double memory_capacity = static_cast<double>(host.total_memory_capacity) * memory_ratio;
        if (cpus > host.total_cpu_capacity || static_cast<double>(memory) > memory_capacity)
            findings.push_back("host '" + host.name + "' carries " + std::to_string(cpus) + " CPUs and " + std::to_string(memory) +
                               " bytes of memory");
    }
    return findings;
}

Result<Findings> no_reservation_outlives_its_job(Parts& parts, const Survey&) {
    return each_of(parts,
                   R"(SELECT uuid FROM vm_instance WHERE "ownerJobUuid" IS NOT NULL AND "ownerJobUuid" NOT IN )"
                   R"((SELECT uuid FROM job WHERE state IN ('Queued', 'Running', 'Undoing', 'Stuck')))",
                   "VM that an ended job was making");
}

Result<Findings> rows_and_processes_agree(Parts&, const Survey& survey) {
    Findings findings;
    for (const VmInstance& vm : survey.rows.vms) {
        if (has_job(survey.rows, vm)) continue;
        const bool runs = std::ranges::find(survey.objects.domains, vm.uuid) != survey.objects.domains.end();
        if (runs && !is_on(vm.state)) findings.push_back("VM " + vm.uuid.text() + " is " + std::string(name_of(vm.state)) + " and has a process");
        if (!runs && is_on(vm.state)) findings.push_back("VM " + vm.uuid.text() + " is " + std::string(name_of(vm.state)) + " and has no process");
    }
    for (const VmId& domain : survey.objects.domains)
        if (survey.rows.vm(domain.text()) == nullptr) findings.push_back("process of VM " + domain.text() + ", which has no row");
    return findings;
}

Result<Findings> logs_fit_their_jobs(Parts& parts, const Survey&) {
    Findings findings;
    TRY(append(each_of(parts, R"(SELECT uuid FROM job_step WHERE "jobUuid" NOT IN (SELECT uuid FROM job))", "step without job"), findings));
    TRY(append(each_of(parts,
                       R"(SELECT s.uuid FROM job_step s JOIN job j ON j.uuid = s."jobUuid" WHERE s.status IN ('running', 'undoing') )"
                       R"(AND j.state IN ('Succeeded', 'Failed', 'Canceled'))",
                       "step at work in an ended job"),
               findings));
    // Each clone of a job that made them all has gone the same way.
    TRY(append(each_of(parts,
                       R"(SELECT "jobUuid" FROM (SELECT s."jobUuid", s.branch, COUNT(*) AS steps FROM job_step s JOIN job j ON j.uuid = s."jobUuid" )"
                       R"(WHERE j.state = 'Succeeded' AND j.kind = 'clone-vm' AND s.branch <> '' GROUP BY 1, 2 )"
                       R"(HAVING COUNT(*) = SUM(s.status = 'done')) GROUP BY 1 HAVING MIN(steps) <> MAX(steps))",
                       "job with a gap in its log"),
               findings));
    return findings;
}

Result<Findings> leases_end_in_time(Parts& parts, const Survey& survey) {
    Findings findings;
    for (const VmInstance& vm : survey.rows.vms) {
        if (!vm.lease_end_date || has_job(survey.rows, vm)) continue;
        if (vm.lease_end_date->milliseconds + kLeaseLateMilliseconds < parts.now().milliseconds)
            findings.push_back("the lease of VM " + vm.uuid.text() + " ended at " + to_wire_date(*vm.lease_end_date) + " and it is still there");
    }
    return findings;
}

Result<Findings> every_resource_has_an_owner(Parts& parts, const Survey&) {
    Findings findings;
    const auto look = [&](std::string_view type, std::string_view table) {
        const std::string sql = R"(SELECT uuid FROM )" + std::string(table) +
                                R"( WHERE uuid NOT IN (SELECT "resourceUuid" FROM account_resource_ref WHERE "resourceType" = ')" +
                                std::string(type) + "')";
        return append(each_of(parts, sql, std::string(table) + " without owner"), findings);
    };
    for (const auto& [type, table] : kOwned) TRY(look(type, table));
    for (const auto& [type, table] : kOwnedPool) TRY(look(type, table));
    return findings;
}

// Also a reference that no constraint holds: the volume is there, and not that VM's. An expunge that failed may have got as far as the volumes.
Result<Findings> the_database_is_sound(Parts& parts, const Survey&) {
    TRY_ASSIGN(Findings findings, parts.database().check());
    TRY(append(each_of(parts,
                       R"(SELECT v.uuid FROM vm_instance v WHERE v.state NOT IN ('Destroyed', 'Expunging') AND v."ownerJobUuid" IS NULL )"
                       R"(AND v."rootVolumeUuid" IS NOT NULL AND NOT EXISTS )"
                       R"((SELECT 1 FROM volume d WHERE d.uuid = v."rootVolumeUuid" AND d."vmInstanceUuid" = v.uuid))",
                       "VM whose root volume is another's"),
               findings));
    return findings;
}

}  // namespace ramet::lifecycle::checks
