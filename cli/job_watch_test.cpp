#include "job_watch.hpp"

#include <gtest/gtest.h>

namespace ramet::cli {

TEST(ExitCode, TellsNoneSomeAndAllFailedApart) {
    const auto code = [](const char* entries) { return exit_code_of_entries(boost::json::parse(entries).as_array()); };
    EXPECT_EQ(code("[]"), 0);
    EXPECT_EQ(code(R"([{"inventory":{}},{"name":"planned"}])"), 0);
    EXPECT_EQ(code(R"([{"inventory":{}},{"error":{"code":"SYS.1006"}}])"), 3);
    EXPECT_EQ(code(R"([{"name":"planned","error":{"code":"SYS.1006"}}])"), 1);
}

TEST(ExitCode, OfAJobIsThatOfItsStateThenOfItsEntries) {
    EXPECT_EQ(exit_code_of(boost::json::parse(R"({"state":"Canceled"})")), 1);
    EXPECT_EQ(exit_code_of(boost::json::parse(R"({"state":"Succeeded"})")), 0);
    EXPECT_EQ(exit_code_of(boost::json::parse(R"({"state":"Succeeded","result":{"result":{"inventories":[{"error":{"code":"x"}},{}]}}})")), 3);
}

}  // namespace ramet::cli
