#include "resources/images.hpp"

#include <fstream>

#include "resources/backup_storages.hpp"
#include "resources/global_configs.hpp"
#include "resources/pool_fixture_test.hpp"

namespace ramet::resources {
namespace {

constexpr std::chrono::seconds kPatience{20};

class Images : public PoolTest {
protected:
    // A raw disk of 64 KiB with a boot sector's mark, beside the database.
    std::string disk(const std::string& name) {
        const std::string path = pool.folder().string() + "/" + name;
        std::string content(65536, 'r');
        content[510] = '\x55';
        content[511] = '\xAA';
        std::ofstream(path, std::ios::binary) << content;
        return "file://" + path;
    }
    api::AddImage request(const std::string& url) {
        api::AddImage message;
        message.name = "tiny";
        message.url = url;
        message.format = "raw";
        message.backup_storage_uuids = {uuid_of<BackupStorage>("images")};
        return message;
    }
    Job finish(const api::AddImage& message, const identity::Caller& caller) {
        const JobId id = JobId::random();
        const Result<JobId> started = add_image(parts, caller, message, {id});
        if (!started.has_value()) throw std::runtime_error(started.error().message);
        Result<Job> job = engine.wait(*started, kPatience);
        if (!job.has_value()) throw std::runtime_error(job.error().message);
        return *job;
    }
    Image ready() {
        const Job job = finish(request(disk("source.raw")), pool.admin);
        EXPECT_EQ(job.state, JobState::succeeded) << job.error.value_or("");
        return pool.rows<Image>().at(0);
    }
    std::string file_of(const ImageId& image) { return parts.data_dir + "/images/images/" + image.text() + "/" + image.text() + ".raw"; }
};

TEST_F(Images, AnImageIsFetchedInspectedAndPublished) {
    const Job job = finish(request(disk("source.raw")), pool.admin);
    ASSERT_EQ(job.state, JobState::succeeded) << job.error.value_or("");
    EXPECT_EQ(member(*job.result, "status"), "Ready");
    EXPECT_EQ(member(*job.result, "size"), "65536");
    EXPECT_EQ(member(*job.result, "format"), "raw");
    const Image image = pool.rows<Image>().at(0);
    EXPECT_EQ(image.md5_sum.value_or("").size(), 32U);
    EXPECT_TRUE(image.checksum.value_or("").starts_with("sha256:"));
    EXPECT_TRUE(std::filesystem::exists(file_of(image.uuid)));
    const std::vector<ImageBackupStorageRef> copies = pool.rows<ImageBackupStorageRef>();
    ASSERT_EQ(copies.size(), 1U);
    EXPECT_EQ(copies[0].status, ImageStatus::ready);
    EXPECT_EQ(copies[0].install_path, file_of(image.uuid));
    EXPECT_EQ(pool.rows<AccountResourceRef>({{"resourceUuid", image.uuid.text()}}).size(), 1U);
}

TEST_F(Images, AFailedImageLeavesNeitherFileNorRow) {
    api::AddImage message = request(disk("source.raw"));
    message.checksum = "sha256:" + std::string(64, '0');
    message.user_tags = {"team::build"};
    const Job job = finish(message, pool.admin);
    EXPECT_EQ(job.state, JobState::failed);
    EXPECT_TRUE(pool.rows<Image>().empty());
    EXPECT_TRUE(pool.rows<ImageBackupStorageRef>().empty());
    EXPECT_TRUE(pool.rows<UserTag>().empty());
    EXPECT_TRUE(pool.rows<AccountResourceRef>({{"resourceType", std::string("ImageVO")}}).empty());
    EXPECT_FALSE(std::filesystem::exists(parts.data_dir + "/images/images") && !std::filesystem::is_empty(parts.data_dir + "/images/images"));
}

TEST_F(Images, ContentMustBeWhatTheFormatSays) {
    api::AddImage message = request(disk("source.raw"));
    message.format = "qcow2";
    const Job job = finish(message, pool.admin);
    EXPECT_EQ(job.state, JobState::failed);
    EXPECT_TRUE(pool.rows<Image>().empty());
}

TEST_F(Images, AJobThatWasCutOffGoesOnAtTheNextStart) {
    const std::string url = disk("source.raw");
    const JobId id = JobId::random();
    {
        const auto reserve = [&](store::Transaction& transaction) -> Result<void> {
            TRY_ASSIGN(const CheckedAddImage checked, check_add_image(transaction, pool.admin, request(url), clock.now()));
            Job job;
            job.uuid = id;
            job.kind = "add-image";
            job.api_name = "AddImage";
            job.account_uuid = pool.admin.account;
            job.plan = api::to_json(checked.plan, api::Audience::storage);
            TRY(store::insert(transaction, checked.image));
            TRY(identity::own(transaction, pool.admin, checked.image.uuid.text(), "ImageVO"));
            TRY(store::insert(transaction, checked.copy));
            return store::insert(transaction, job);
        };
        ASSERT_TRUE((*pool).write(reserve).has_value());
    }
    ASSERT_EQ(engine.recover().value_or(0), 1U);
    const Result<Job> job = engine.wait(id, kPatience);
    ASSERT_TRUE(job.has_value());
    EXPECT_EQ(job->state, JobState::succeeded) << job->error.value_or("");
    EXPECT_EQ(pool.rows<Image>().at(0).status, ImageStatus::ready);
}

TEST_F(Images, LocalFilesAndPrivateAddressesAreForAdmins) {
    for (const std::string& url : {disk("source.raw"), std::string("http://127.0.0.1/x.qcow2")}) {
        const Result<JobId> refused = add_image(parts, pool.alice, request(url), {JobId::random()});
        if (refused.has_value()) {  // a name or address that is judged when it is used
            EXPECT_EQ(engine.wait(*refused, kPatience)->state, JobState::failed) << url;
        } else {
            EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument) << url;
        }
    }
    EXPECT_TRUE(pool.rows<Image>().empty());
}

TEST_F(Images, RefusesBeforeAnythingIsWritten) {
    api::AddImage iso = request(disk("source.raw"));
    iso.media_type = "ISO";
    EXPECT_EQ(add_image(parts, pool.admin, iso, {JobId::random()}).error().code, ErrorCode::unsupported);
    api::AddImage nowhere = request(disk("source.raw"));
    nowhere.backup_storage_uuids = {BackupStorageId::trusted(test::uuid_text(999))};
    EXPECT_EQ(add_image(parts, pool.admin, nowhere, {JobId::random()}).error().code, ErrorCode::not_found);
    ASSERT_TRUE(change_backup_storage_state(parts, pool.admin, {uuid_of<BackupStorage>("images"), "disable"}).has_value());
    const Result<JobId> disabled = add_image(parts, pool.admin, request(disk("source.raw")), {JobId::random()});
    ASSERT_FALSE(disabled.has_value());
    EXPECT_NE(disabled.error().message.find("Disabled"), std::string::npos);
    EXPECT_FALSE(add_image(parts, pool.admin, request("file:///nonexistent/x.raw"), {JobId::random()}).has_value());
    EXPECT_FALSE(add_image(parts, pool.admin, request("ftp://example.com/x.raw"), {JobId::random()}).has_value());
    EXPECT_TRUE(pool.rows<Image>().empty());
    EXPECT_TRUE(pool.rows<Job>().empty());
}

TEST_F(Images, ADeletedImageCanBeRecovered) {
    const Image image = ready();
    EXPECT_EQ(delete_image(parts, pool.admin, {image.uuid, {}}).value_or("?"), "{}");
    EXPECT_EQ(pool.rows<Image>().at(0).status, ImageStatus::deleted);
    EXPECT_EQ(delete_image(parts, pool.admin, {image.uuid, {}}).value_or("?"), "{}");
    EXPECT_TRUE(std::filesystem::exists(file_of(image.uuid)));
    EXPECT_EQ(member(recover_image(parts, pool.admin, {image.uuid, {}}), "status"), "Ready");
    expect_refusal(recover_image(parts, pool.admin, {image.uuid, {}}), ErrorCode::operation_failed, "only Deleted");
}

TEST_F(Images, OnlyADeletedImageIsExpunged) {
    const Image image = ready();
    expect_refusal(expunge_image(parts, pool.admin, {image.uuid, {}}), ErrorCode::operation_failed, "delete it first");
    ASSERT_TRUE(delete_image(parts, pool.admin, {image.uuid, {}}).has_value());
    EXPECT_EQ(expunge_image(parts, pool.admin, {image.uuid, {}}).value_or("?"), "{}");
    EXPECT_FALSE(std::filesystem::exists(file_of(image.uuid)));
    EXPECT_TRUE(pool.rows<Image>().empty());
    EXPECT_EQ(delete_image(parts, pool.admin, {image.uuid, {}}).value_or("?"), "{}");
}

TEST_F(Images, AnImageWithoutItsFileIsNotRecovered) {
    const Image image = ready();
    ASSERT_TRUE(delete_image(parts, pool.admin, {image.uuid, {}}).has_value());
    std::filesystem::remove(file_of(image.uuid));
    expect_refusal(recover_image(parts, pool.admin, {image.uuid, {}}), ErrorCode::operation_failed, "file is gone");
    EXPECT_TRUE(expunge_image(parts, pool.admin, {image.uuid, {}}).has_value());
}

TEST_F(Images, ExpiredImagesGoByThemselves) {
    const Image image = ready();
    ASSERT_TRUE(delete_image(parts, pool.admin, {image.uuid, {}}).has_value());
    EXPECT_EQ(expunge_expired_images(parts).value_or(-1), 0);
    clock.milliseconds += 259'200'000LL + 1;
    EXPECT_EQ(expunge_expired_images(parts).value_or(-1), 1);
    EXPECT_FALSE(std::filesystem::exists(file_of(image.uuid)));
}

TEST_F(Images, OthersMayNotChangeAnImage) {
    const Image image = ready();
    EXPECT_EQ(delete_image(parts, pool.alice, {image.uuid, {}}).error().code, ErrorCode::not_owner);
    api::UpdateImage update;
    update.uuid = image.uuid;
    update.name = "renamed";
    EXPECT_EQ(update_image(parts, pool.alice, update).error().code, ErrorCode::not_owner);
    EXPECT_EQ(member(update_image(parts, pool.admin, update), "name"), "renamed");
    EXPECT_EQ(member(change_image_state(parts, pool.admin, {image.uuid, "disable"}), "state"), "Disabled");
}

TEST_F(Images, AnImageKeepsItsBackupStorage) {
    ready();
    expect_refusal(delete_backup_storage(parts, pool.admin, {uuid_of<BackupStorage>("images")}), ErrorCode::operation_failed, "1 image (tiny)");
}

}  // namespace
}  // namespace ramet::resources
