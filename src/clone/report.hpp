// How a clone job ends: one entry per name, in order (contract 3.2).
#pragma once

#include "clone/plan.hpp"
#include "lifecycle/parts.hpp"
#include "workflow/saga.hpp"

namespace ramet::clone {

// `error` as the entry of the clone `name`, which its text then names.
Error error_of_clone(const std::string& name, Error error);

Result<workflow::Report> report(lifecycle::Parts& parts, const JobId& job, const ClonePlan& plan, const workflow::StepContext& context,
                                const std::vector<workflow::BranchOutcome>& outcomes);

}  // namespace ramet::clone
