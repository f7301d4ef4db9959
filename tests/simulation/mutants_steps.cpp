#include "simulation/mutants.hpp"

namespace ramet::sim {

namespace {

Mutant without_call(const std::string& scenario, Port port, const std::string& operation, const std::string& told_by, const std::string& may_tell) {
    Mutant mutant{std::string(kPortNames.at(static_cast<std::size_t>(port))) + "." + operation + " does nothing", scenario, told_by, may_tell};
    mutant.leaves_out_call = [port, operation](const Call& call) { return call.port == port && call.operation == operation; };
    return mutant;
}

Mutant without_sql(const std::string& scenario, const std::string& statement, const std::string& told_by, const std::string& may_tell) {
    Mutant mutant{"'" + statement + "' is left out", scenario, told_by, may_tell};
    mutant.leaves_out_sql = statement;
    return mutant;
}

Mutant without_locks(const std::string& scenario, const std::string& step, const std::string& told_by, const std::string& may_tell) {
    Mutant mutant{"step '" + step + "' holds no locks", scenario, told_by, may_tell};
    mutant.step_without_locks = step;
    return mutant;
}

}  // namespace

std::vector<Mutant> step_mutants() {
    using enum Port;
    return {
        without_call("expunge", storage, "remove", "I1", "orphan"),
        without_call("clone 3 of a running source", storage, "seal", "I5", ""),
        without_call("clone 3 of a running source", storage, "create_overlay", "I2", "I1 I4 I5 I6 orphan"),
        without_call("full clone 3 of a running source", storage, "full_copy", "I2", "I1 orphan"),
        without_call("merge the chain of a stopped source", storage, "merge_layers", "I1", "I2 orphan"),
        without_call("stop", hypervisor, "stop", "I27", "I1 orphan"),
        without_call("destroy", hypervisor, "stop", "I27", "I1 orphan"),
        without_call("start", hypervisor, "start", "I27", "I1 orphan"),
        without_call("resume", hypervisor, "resume", "I10", ""),
        without_call("pause", hypervisor, "pause", "I10", ""),
        without_call("clone 3 of a running source", hypervisor, "start", "I27", "I1 orphan"),
        without_call("stop", plumbing, "unplug", "orphan", "I1"),
        without_call("destroy", plumbing, "unplug", "orphan", "I1"),
        without_sql("expunge", "DELETE FROM vm_nic", "job", "I14 I39"),
        without_sql("expunge", "DELETE FROM volume", "job", "I14 I34"),
        without_sql("clone 3 of a running source", "INSERT INTO account_resource_ref", "I34", ""),
        without_sql("expunge", "DELETE FROM account_resource_ref", "I14", "I34"),
        without_sql("stop", "UPDATE vm_instance", "I27", "I1 orphan"),
        without_sql("clone 3 of a running source", "UPDATE layer", "I5", "I1 I2 I4 orphan job"),
        without_sql("clone 3 of a running source", "UPDATE volume", "orphan", "I1 I2 I4 I5"),
        without_sql("clone 3 of a running source", "UPDATE vm_instance", "I25", "I1 I27 I13 I14 I15 orphan"),
        without_sql("expunge", "DELETE FROM layer", "orphan", "I1"),
        without_locks("snapshot and pause at once", "take-snapshots", "overlap", "job I10"),
    };
}

}  // namespace ramet::sim
