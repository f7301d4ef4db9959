#include "expand.hpp"

#include <gtest/gtest.h>

namespace ramet::cli {

using Names = std::vector<std::string>;

TEST(ExpandNames, KeepsZeroPadding) { EXPECT_EQ(expand_names("web-{08..11}", 100).value(), (Names{"web-08", "web-09", "web-10", "web-11"})); }
TEST(ExpandNames, LeavesPlainNamesAlone) { EXPECT_EQ(expand_names("web 1", 100).value(), Names{"web 1"}); }
TEST(ExpandNames, MultipliesSeveralBraces) { EXPECT_EQ(expand_names("{a,b}{1..2}", 100).value(), (Names{"a1", "a2", "b1", "b2"})); }
TEST(ExpandNames, CountsDown) { EXPECT_EQ(expand_names("{3..1}", 100).value(), (Names{"3", "2", "1"})); }

TEST(ExpandNames, RefusesWhatIsNoRangeOrTooMuch) {
    for (const char* pattern : {"web-{1..x}", "web-{..}", "web-{1", "{1..1001}", "{1..100}{1..100}", "{-1..3}"})
        EXPECT_FALSE(expand_names(pattern, 1000).has_value()) << pattern;
}

}  // namespace ramet::cli
