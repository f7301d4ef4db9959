#include "event_stream.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace ramet::cli {
namespace {

TEST(EventReader, PutsEventsTogetherWhereverTheBytesAreCut) {
    const std::string wire = ": still here\n\nevent: progress\ndata: {\"progress\":1}\n\nevent: end\r\ndata: {}\r\n\r\nevent: lost\ndata: half";
    for (std::size_t cut = 0; cut <= wire.size(); ++cut) {
        std::vector<std::pair<std::string, std::string>> seen;
        EventReader reader([&](const std::string& name, const std::string& data) { seen.emplace_back(name, data); });
        EXPECT_TRUE(reader.take(std::string_view(wire).substr(0, cut)));
        EXPECT_TRUE(reader.take(std::string_view(wire).substr(cut)));
        ASSERT_EQ(seen.size(), 2U) << cut;
        EXPECT_EQ(seen[0], std::make_pair(std::string("progress"), std::string("{\"progress\":1}")));
        EXPECT_EQ(seen[1], std::make_pair(std::string("end"), std::string("{}")));
    }
}

}  // namespace
}  // namespace ramet::cli
