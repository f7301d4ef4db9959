#include <gtest/gtest.h>

#include <set>

#include "model/account.hpp"
#include "model/vm.hpp"
#include "model/vo_types.hpp"

namespace ramet {
namespace {

TEST(Model, EveryRowHasATableOfItsOwnAndOneKey) {
    std::set<std::string_view> tables;
    std::set<std::string_view> vo_types;
    for (const TypeInfo* type : all_row_types()) {
        EXPECT_FALSE(type->table.empty()) << type->name;
        EXPECT_TRUE(tables.insert(type->table).second) << type->table;
        EXPECT_TRUE(vo_types.insert(type->vo_type).second) << type->vo_type;
        EXPECT_TRUE(type->vo_type.ends_with("VO")) << type->name;
        std::size_t keys = 0;
        for (const FieldInfo& info : type->fields) keys += info.rules.primary ? 1U : 0U;
        EXPECT_EQ(keys, 1U) << type->name;
    }
}

TEST(Model, FieldsHaveDistinctNamesAndASentence) {
    for (const TypeInfo* type : all_row_types()) {
        std::set<std::string_view> names;
        for (const FieldInfo& info : type->fields) {
            EXPECT_TRUE(names.insert(info.name).second) << type->name << "." << info.name;
            EXPECT_TRUE(info.doc.size() > 3 && info.doc.ends_with('.')) << type->name << "." << info.name;
            EXPECT_EQ(info.scalar == Scalar::enumeration, !info.values.empty()) << type->name << "." << info.name;
            EXPECT_TRUE(info.scalar != Scalar::object || info.rules.relation || info.rules.transient) << type->name << "." << info.name;
        }
    }
}

TEST(Model, FieldsReadAndWriteTheirMembers) {
    VmInstance vm;
    const TypeInfo& type = describe<VmInstance>();
    const FieldInfo* state = type.find("state");
    const FieldInfo* host = type.find("hostUuid");
    ASSERT_TRUE(state != nullptr && host != nullptr);
    EXPECT_TRUE(state->set_text(state->member(&vm), "Running"));
    EXPECT_FALSE(state->set_text(state->member(&vm), "Dancing"));
    EXPECT_EQ(vm.state, VmState::running);
    EXPECT_EQ(host->count(host->member(&vm)), 0U);
    EXPECT_TRUE(host->set_text(host->append(host->member(&vm)), "0123456789abcdef0123456789abcdef"));
    EXPECT_EQ(vm.host_uuid->text(), "0123456789abcdef0123456789abcdef");
}

TEST(Model, SecretsStayOffTheWire) {
    EXPECT_TRUE(describe<Account>().find("passwordHash")->rules.internal);
    for (const TypeInfo* type : {&describe<Session>(), &describe<Layer>(), &describe<JobStep>(), &describe<AccountResourceRef>()}) {
        for (const FieldInfo& info : type->fields) EXPECT_TRUE(info.rules.internal) << type->name << "." << info.name;
    }
}

}  // namespace
}  // namespace ramet
