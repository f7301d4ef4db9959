#include "http/answers.hpp"
#include "http/routes.hpp"
#include "lifecycle/flatten.hpp"
#include "lifecycle/lineage.hpp"

namespace ramet::http {
namespace {

Result<Answer> started_or_told(Result<lifecycle::FlattenAnswer> answer) {
    if (!answer.has_value()) return std::unexpected(std::move(answer.error()));
    if (JobId* const job = std::get_if<JobId>(&*answer)) return Answer{Started{std::move(*job)}};
    return Answer{Body{std::move(std::get<std::string>(*answer))}};
}

}  // namespace

void bind_lineage_routes(Routes& routes, lifecycle::Parts& parts) {
    routes.bind<api::FlattenVmInstance>(
        [&parts](const Call& call, auto& message) { return started_or_told(lifecycle::flatten_vm(parts, request_of(call), message)); });
    routes.bind<api::FlattenVolume>(
        [&parts](const Call& call, auto& message) { return started_or_told(lifecycle::flatten_volume(parts, request_of(call), message)); });
    routes.bind<api::GetLineage>([&parts](const Call& call, auto&) { return answer_of(lifecycle::lineage(parts, call.caller, std::nullopt)); });
    routes.bind<api::GetVmLineage>(
        [&parts](const Call& call, auto& message) { return answer_of(lifecycle::lineage(parts, call.caller, message.uuid)); });
}

}  // namespace ramet::http
