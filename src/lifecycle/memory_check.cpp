#include "lifecycle/memory_check.hpp"

#include <memory>

#include "api/json.hpp"
#include "api/messages_vm.hpp"
#include "lifecycle/memory_images.hpp"
#include "store/table.hpp"
#include "telemetry/log.hpp"

namespace ramet::lifecycle {

using store::Transaction;

namespace {

bool is_captured(const MemoryImage& image) { return image.state != MemoryImageState::capturing && !image.deleting; }

// Whole again is what an operator has put back. False: it went meanwhile.
Result<bool> note(Parts& parts, const MemoryImageId& uuid, bool whole) {
    return store::write(parts.database(), [&](Transaction& transaction) -> Result<bool> {
        TRY_ASSIGN(std::optional<MemoryImage> image, store::find<MemoryImage>(transaction, {{"uuid", uuid.text()}}));
        if (!image || !is_captured(*image)) return false;
        image->state = whole ? MemoryImageState::ready : MemoryImageState::damaged;
        TRY(store::update(transaction, *image));
        return true;
    });
}

Result<void> verify(Parts& parts, const MemoryImage& image, const std::stop_token& stop, api::VerifyMemoryImagesReply& reply) {
    TRY_ASSIGN(const std::optional<std::string> damage, parts.hypervisor.verify_memory(place_of(image), stop));
    TRY_ASSIGN(const bool noted, note(parts, image.uuid, !damage));
    if (!noted) return {};
    ++reply.verified;
    if (!damage) return {};
    telemetry::log_error("memory image {}: {}", image.uuid.text(), *damage);
    reply.damaged.push_back(image.uuid.text() + ": " + *damage);
    parts.hypervisor.keep_ready({place_of(image), {}, {}}, 0);  // what waits has it mapped
    return {};
}

Result<void> verify_all(Parts& parts, const std::stop_token& stop, api::VerifyMemoryImagesReply& reply) {
    reply = {};
    TRY_ASSIGN(const std::vector<MemoryImage> images,
               store::read(parts.database(), [](Transaction& transaction) { return store::list<MemoryImage>(transaction); }));
    for (const MemoryImage& image : images)
        if (is_captured(image)) TRY(verify(parts, image, stop, reply));
    return {};
}

}  // namespace

void register_memory_check_saga(workflow::Engine& engine, Parts& parts) {
    engine.add_kind(
        "verify-memory",
        [&parts](const Job& job) -> Result<workflow::Saga> {
            workflow::Saga saga(job.kind, job.uuid);
            auto reply = std::make_shared<api::VerifyMemoryImagesReply>();
            saga.add<Action>(
                "verify", std::vector<std::string>{}, [&parts, reply](workflow::StepContext& step) { return verify_all(parts, step.stop(), *reply); },
                nullptr);
            saga.report([reply](const workflow::StepContext&, const std::vector<workflow::BranchOutcome>&) -> Result<workflow::Report> {
                return workflow::Report{api::to_json(*reply), {}};
            });
            return saga;
        },
        workflow::Pace::slow);
}

Result<JobId> verify_memory_images(Parts& parts, const Request& request) {
    return submit(parts, request, {"verify-memory", "VerifyMemoryImages", "", "{}"});
}

}  // namespace ramet::lifecycle
