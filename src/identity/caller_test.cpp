#include "identity/caller.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "identity/identity_fixture_test.hpp"
#include "model/resources.hpp"
#include "model/vm.hpp"
#include "model/vo_types.hpp"

namespace ramet::identity {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr ErrorCode kAllowed = ErrorCode::overloaded;  // stands for "no error" below

class CallerTest : public IdentityTest {
protected:
    void SetUp() override {
        IdentityTest::SetUp();
        ASSERT_TRUE(accounts_->ensure_admin("secret").has_value());
        mine_ = make("mine");
        theirs_ = make("theirs");
    }
    Caller make(const std::string& name) {
        Account row;
        row.uuid = AccountId::random();
        row.name = name;
        insert(row);
        return Caller{row.uuid, name, false};
    }
    ErrorCode operate(const Caller& caller, const std::string& uuid, std::string_view vo_type) { return ask(caller, uuid, vo_type, &may_operate); }
    ErrorCode refer(const Caller& caller, const std::string& uuid, std::string_view vo_type) { return ask(caller, uuid, vo_type, &may_refer); }
    ErrorCode ask(const Caller& caller, const std::string& uuid, std::string_view vo_type,
                  Result<void> (*question)(store::Transaction&, const Caller&, std::string_view, std::string_view, std::string_view)) {
        last_ = Error{};
        const Result<void> answer =
            database_->read([&](store::Transaction& transaction) { return question(transaction, caller, uuid, vo_type, "someUuid"); });
        if (answer.has_value()) return kAllowed;
        last_ = answer.error();
        return last_.code;
    }
    std::string make_image(const Caller& owner) {
        Image row;
        row.uuid = ImageId::random();
        row.name = "image";
        insert(row);
        EXPECT_TRUE(within([&](store::Transaction& transaction) { return own(transaction, owner, row.uuid.text(), "ImageVO"); }).has_value());
        return row.uuid.text();
    }
    std::string make_zone() {
        Zone row;
        row.uuid = ZoneId::random();
        row.name = "zone";
        insert(row);
        return row.uuid.text();
    }

    Caller mine_, theirs_;
    Error last_;
};

TEST_F(CallerTest, TellsWhichFieldNamesNothing) {
    const std::string uuid = random_uuid_text();
    for (const Caller& caller : {mine_, admin_caller()}) {
        EXPECT_EQ(operate(caller, uuid, "VmInstanceVO"), ErrorCode::not_found);
        EXPECT_THAT(last_.message, HasSubstr("someUuid names no VmInstanceVO: there is no resource with uuid '" + uuid + "'"));
        EXPECT_EQ(refer(caller, uuid, "HostVO"), ErrorCode::not_found);
    }
}

TEST_F(CallerTest, AsksEveryKindOfResourceWithoutError) {
    for (const TypeInfo* type : all_row_types()) {
        EXPECT_EQ(operate(mine_, random_uuid_text(), type->vo_type), ErrorCode::not_found) << type->vo_type << " " << last_.detail;
        EXPECT_EQ(type_of_vo(type->vo_type), type);
    }
    EXPECT_EQ(operate(mine_, random_uuid_text(), "NoSuchVO"), ErrorCode::invalid_argument);
    EXPECT_EQ(type_of_vo("NoSuchVO"), nullptr);
}

TEST_F(CallerTest, TheOwnerAndTheAdminMayOthersMayNot) {
    const std::string image = make_image(mine_);
    EXPECT_EQ(operate(mine_, image, "ImageVO"), kAllowed);
    EXPECT_EQ(refer(mine_, image, "ImageVO"), kAllowed);
    EXPECT_EQ(operate(admin_caller(), image, "ImageVO"), kAllowed);
    EXPECT_EQ(refer(admin_caller(), image, "ImageVO"), kAllowed);
    EXPECT_EQ(operate(theirs_, image, "ImageVO"), ErrorCode::not_owner);
    EXPECT_THAT(last_.message, AllOf(HasSubstr("someUuid"), HasSubstr(image)));
    EXPECT_EQ(refer(theirs_, image, "ImageVO"), ErrorCode::denied);
}

TEST_F(CallerTest, AnAdminsImagesAreForEveryoneToReferTo) {
    const std::string image = make_image(admin_caller());
    EXPECT_EQ(refer(mine_, image, "ImageVO"), kAllowed);
    EXPECT_EQ(operate(mine_, image, "ImageVO"), ErrorCode::not_owner);
}

TEST_F(CallerTest, InfrastructureIsForEveryoneToReferToAndForTheAdminToChange) {
    const std::string zone = make_zone();
    EXPECT_EQ(refer(mine_, zone, "ZoneVO"), kAllowed);
    EXPECT_EQ(operate(mine_, zone, "ZoneVO"), ErrorCode::denied);
    EXPECT_EQ(operate(admin_caller(), zone, "ZoneVO"), kAllowed);
}

TEST_F(CallerTest, TagsBelongToWhoOwnsWhatTheyMark) {
    const std::string image = make_image(mine_);
    UserTag tag;
    tag.uuid = TagId::random();
    tag.resource_uuid = image;
    tag.resource_type = "ImageVO";
    tag.tag = "blue";
    insert(tag);
    EXPECT_EQ(operate(mine_, tag.uuid.text(), "UserTagVO"), kAllowed);
    EXPECT_EQ(operate(theirs_, tag.uuid.text(), "UserTagVO"), ErrorCode::not_owner);
}

TEST_F(CallerTest, AJobAndAnAccountBelongToTheirAccount) {
    Job job;
    job.uuid = JobId::random();
    job.account_uuid = mine_.account;
    insert(job);
    EXPECT_EQ(operate(mine_, job.uuid.text(), "JobVO"), kAllowed);
    EXPECT_EQ(operate(theirs_, job.uuid.text(), "JobVO"), ErrorCode::not_owner);
    EXPECT_EQ(operate(mine_, mine_.account.text(), "AccountVO"), kAllowed);
    EXPECT_EQ(operate(mine_, theirs_.account.text(), "AccountVO"), ErrorCode::not_owner);
}

TEST_F(CallerTest, NobodyOwnsWhatWasDisownedAndACallerWithoutAccountOwnsNothing) {
    const std::string image = make_image(mine_);
    EXPECT_EQ(operate(Caller{}, image, "ImageVO"), ErrorCode::not_owner);
    ASSERT_TRUE(within([&](store::Transaction& transaction) { return disown(transaction, image); }).has_value());
    EXPECT_EQ(operate(mine_, image, "ImageVO"), ErrorCode::not_owner);
    EXPECT_EQ(operate(Caller{}, image, "ImageVO"), ErrorCode::not_owner);
    EXPECT_EQ(refer(mine_, image, "ImageVO"), ErrorCode::denied);
    ASSERT_TRUE(within([&](store::Transaction& transaction) { return disown(transaction, image); }).has_value());
}

}  // namespace
}  // namespace ramet::identity
