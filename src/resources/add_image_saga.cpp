#include "api/json.hpp"
#include "resources/image_files.hpp"
#include "resources/images.hpp"
#include "storage/image_inspector.hpp"
#include "storage/image_source.hpp"
#include "store/table.hpp"
#include "workflow/saga.hpp"

namespace ramet::resources {

struct FetchedFacts {
    std::int64_t bytes = 0;
    std::string md5, sha256;
};
struct InspectedFacts {
    std::int64_t virtual_bytes = 0, file_bytes = 0;
};

}  // namespace ramet::resources

namespace ramet {

template <> const TypeInfo& describe<resources::AddImagePlan>() {
    using resources::AddImagePlan;
    static const TypeInfo info = object<AddImagePlan>(
        "AddImagePlan", "What an image is added from.", field<&AddImagePlan::image>("image", "The new image."),
        field<&AddImagePlan::backup_storage>("backupStorage", "Where it is kept."), field<&AddImagePlan::url>("url", "Where it comes from."),
        field<&AddImagePlan::destination>("destination", "The file."), field<&AddImagePlan::format>("format", "The file's format."),
        field<&AddImagePlan::checksum>("checksum", "What the file must hash to."),
        field<&AddImagePlan::allow_private_addresses>("allowPrivateAddresses", "Whether addresses that are not public may be reached."));
    return info;
}

template <> const TypeInfo& describe<resources::FetchedFacts>();
template <> const TypeInfo& describe<resources::FetchedFacts>() {
    using resources::FetchedFacts;
    static const TypeInfo info =
        object<FetchedFacts>("FetchedFacts", "What was fetched.", field<&FetchedFacts::bytes>("bytes", "Its size."),
                             field<&FetchedFacts::md5>("md5", "Its MD5."), field<&FetchedFacts::sha256>("sha256", "Its SHA-256."));
    return info;
}

template <> const TypeInfo& describe<resources::InspectedFacts>();
template <> const TypeInfo& describe<resources::InspectedFacts>() {
    using resources::InspectedFacts;
    static const TypeInfo info = object<InspectedFacts>("InspectedFacts", "What the file's header says.",
                                                        field<&InspectedFacts::virtual_bytes>("virtualBytes", "The size a guest sees."),
                                                        field<&InspectedFacts::file_bytes>("fileBytes", "The size of the file."));
    return info;
}

}  // namespace ramet

namespace ramet::resources {
namespace {

using workflow::Output;
using workflow::StepContext;

class Fetch final : public workflow::Step {
public:
    explicit Fetch(AddImagePlan plan) : plan_(std::move(plan)) {}
    std::string_view name() const override { return "fetch"; }

    Result<Output> run(StepContext& context) override {
        TRY(make_image_folder(plan_.destination));
        const storage::FetchRequest request{plan_.url, plan_.destination, plan_.checksum, plan_.allow_private_addresses};
        const auto observe = [&](storage::CopyProgress progress) { context.progress(progress.done_bytes, progress.total_bytes); };
        TRY_ASSIGN(const storage::Fetched fetched, storage::fetch_image(request, observe, context.stop()));
        return api::to_json(FetchedFacts{fetched.bytes, fetched.md5_hex, fetched.sha256_hex}, api::Audience::storage);
    }

    Result<void> undo(StepContext&) override { return remove_image_file(plan_.destination); }

private:
    AddImagePlan plan_;
};

class Inspect final : public workflow::Step {
public:
    explicit Inspect(AddImagePlan plan) : plan_(std::move(plan)) {}
    std::string_view name() const override { return "inspect"; }

    Result<Output> run(StepContext&) override {
        TRY_ASSIGN(const storage::ImageFacts facts, storage::inspect_image(plan_.destination, enum_from<DiskFormat>(plan_.format)));
        return api::to_json(InspectedFacts{facts.virtual_bytes, facts.file_bytes}, api::Audience::storage);
    }

    Result<void> undo(StepContext&) override { return {}; }

private:
    AddImagePlan plan_;
};

class Publish final : public workflow::Step {
public:
    Publish(Parts& parts, AddImagePlan plan) : parts_(parts), plan_(std::move(plan)) {}
    std::string_view name() const override { return "publish"; }

    Result<Output> run(StepContext& context) override {
        TRY_ASSIGN(const FetchedFacts fetched, api::from_json<FetchedFacts>(context.output_of("fetch")));
        TRY_ASSIGN(const InspectedFacts inspected, api::from_json<InspectedFacts>(context.output_of("inspect")));
        const auto work = [&](store::Transaction& transaction) -> Result<void> {
            TRY_ASSIGN(Image image, store::get<Image>(transaction, plan_.image.text()));
            image.status = ImageStatus::ready;
            image.size = inspected.virtual_bytes;
            image.actual_size = inspected.file_bytes;
            image.md5_sum = fetched.md5;
            image.checksum = "sha256:" + fetched.sha256;
            image.last_op_date = parts_.clock.now();
            TRY(store::update(transaction, image));
            TRY_ASSIGN(std::vector<ImageBackupStorageRef> copies,
                       store::list<ImageBackupStorageRef>(transaction, {{"imageUuid", plan_.image.text()}}));
            for (ImageBackupStorageRef& copy : copies) {
                copy.status = ImageStatus::ready;
                copy.last_op_date = image.last_op_date;
                TRY(store::update(transaction, copy));
            }
            return {};
        };
        TRY(parts_.database.write(work));
        return Output{};
    }

    // The row goes when the job is abandoned; until then it must not look usable.
    Result<void> undo(StepContext&) override {
        return parts_.database.write([&](store::Transaction& transaction) -> Result<void> {
            TRY_ASSIGN(std::optional<Image> image, store::find<Image>(transaction, {{"uuid", plan_.image.text()}}));
            if (!image) return {};
            image->status = ImageStatus::error;
            return store::update(transaction, *image);
        });
    }

private:
    Parts& parts_;
    AddImagePlan plan_;
};

Result<workflow::Saga> add_image_saga(Parts& parts, const Job& job) {
    TRY_ASSIGN(const AddImagePlan plan, api::from_json<AddImagePlan>(job.plan));
    workflow::Saga saga{"add-image", job.uuid};
    saga.add<Fetch>(plan);
    saga.add<Inspect>(plan);  // before anything else opens the file
    saga.add<Publish>(parts, plan);
    saga.report([&parts, plan](const StepContext&, const std::vector<workflow::BranchOutcome>&) -> Result<workflow::Report> {
        TRY_ASSIGN(std::string body, parts.inventory.reply<Image>(plan.image.text()));
        return workflow::Report{std::move(body), {}};
    });
    saga.abandon([&parts, plan](const Error&) {
        return parts.database.write([&](store::Transaction& transaction) { return erase_image(transaction, plan.image); });
    });
    return saga;
}

}  // namespace

void register_image_sagas(workflow::Engine& engine, Parts& parts) {
    engine.add_kind("add-image", [&parts](const Job& job) { return add_image_saga(parts, job); }, workflow::Pace::slow);
}

}  // namespace ramet::resources
