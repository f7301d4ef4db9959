#include "clone/report.hpp"

#include <fmt/format.h>
#include <algorithm>

#include "api/json.hpp"
#include "api/messages_vm.hpp"
#include "clone/memory_gate.hpp"
#include "lifecycle/cut.hpp"
#include "lifecycle/identity_report.hpp"

namespace ramet::clone {

Error error_of_clone(const std::string& name, Error error) {
    if (error.subject == name) return error;  // it says so already
    error.subject = name;
    error.message = "clone '" + name + "': " + error.message;
    return error;
}

namespace {

std::string entry_error(const std::string& name, Error error) {
    return "{\"error\":" + api::error_object(error_of_clone(name, std::move(error))) + "}";
}

// "" or the member `capture` of the result, from what the step left; nothing was captured for clones of something kept.
Result<std::string> capture_member(const std::string& output) {
    if (output.empty()) return std::string();
    TRY_ASSIGN(const lifecycle::CutFacts facts, api::from_json<lifecycle::CutFacts>(output));
    const api::CloneCaptureInventory told{facts.source_state,        std::string(name_of(facts.consistency)),
                                          facts.consistency_reason,  facts.frozen_file_systems,
                                          facts.frozen_microseconds, facts.paused_microseconds,
                                          facts.layers_reused};
    return ",\"capture\":" + api::to_json(told);
}

}  // namespace

Result<workflow::Report> report(lifecycle::Parts& parts, const JobId& job, const ClonePlan& plan, const workflow::StepContext& context,
                                const std::vector<workflow::BranchOutcome>& outcomes) {
    std::string entries;
    std::int64_t cloned = 0;
    std::vector<VmId> made;
    for (std::size_t i = 0; i < plan.clones.size(); ++i) {
        const PlannedClone& planned = plan.clones[i];
        if (!entries.empty()) entries += ',';
        if (planned.refusal) {
            entries += entry_error(planned.name, Error{ErrorCode::no_host, *planned.refusal, {}, nullptr, {}});
            continue;
        }
        const auto outcome = std::ranges::find(outcomes, std::to_string(i), &workflow::BranchOutcome::name);
        if (outcome != outcomes.end() && outcome->error) {
            entries += entry_error(planned.name, *outcome->error);
            continue;
        }
        if (const std::optional<Error> stopped = gate_error(context.output_of("gate"), i)) {
            entries += entry_error(planned.name, *stopped);
            continue;
        }
        const Result<VmInstance> vm = parts.shared.inventory.get<VmInstance>(clone_uuid(job, i).text());
        if (!vm.has_value()) {
            entries += entry_error(planned.name, vm.error());
            continue;
        }
        entries += "{\"inventory\":" + api::to_json(*vm) + "}";
        ++cloned;
        made.push_back(vm->uuid);
    }
    const std::string capture = context.output_of("capture");
    const std::string gate = context.output_of("gate");
    TRY_ASSIGN(const std::string identity, lifecycle::identity_reports(parts, made));
    TRY_ASSIGN(const std::string captured, capture_member(capture));
    return workflow::Report{fmt::format(R"({{"result":{{"numberOfClonedVm":{},"inventories":[{}]{}}}}})", cloned, entries, captured),
                            fmt::format(R"({{"capture":{},"gate":{},"identity":{},"volumes":{}}})", capture.empty() ? "{}" : capture,
                                        gate.empty() ? "[]" : gate, identity, [&] {
                                            std::string volumes = "[";
                                            for (const PlannedVolume& volume : plan.volumes)
                                                volumes += (volumes.size() > 1 ? "," : "") + api::to_json(volume);
                                            return volumes + "]";
                                        }())};
}

}  // namespace ramet::clone
