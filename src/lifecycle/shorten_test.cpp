#include "lifecycle/shorten.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/limits.hpp"

namespace ramet::lifecycle {
namespace {

using Bytes = std::vector<std::int64_t>;

TEST(LayersToMerge, AShortChainIsLeftAlone) {
    EXPECT_EQ(layers_to_merge(Bytes{}), 0U);
    EXPECT_EQ(layers_to_merge(Bytes{1, 1, 1, 1, 1}), 0U);
}

TEST(LayersToMerge, AsFewAsWillDoWhenTheNextIsLarger) {
    EXPECT_EQ(layers_to_merge(Bytes{1, 1, 9, 90, 900, 1000}), 2U);
    EXPECT_EQ(layers_to_merge(Bytes{1, 1, 1, 1, 9, 90, 900, 1000}), 4U);
}

TEST(LayersToMerge, TakesEveryFurtherLayerThatIsNoLargerThanThoseAbove) {
    EXPECT_EQ(layers_to_merge(Bytes{1, 1, 1, 1, 4, 8, 900, 1000}), 6U);
    EXPECT_EQ(layers_to_merge(Bytes{5, 1, 1, 1, 1, 1, 1, 1000}), 7U);
}

TEST(LayersToMerge, NeverTakesTheBottomOne) {
    for (std::size_t depth = 6; depth < 40; ++depth) EXPECT_EQ(layers_to_merge(Bytes(depth, 1)), depth - 1);
}

// A VM is cloned, the clone is written and cloned, and so on for ever; nothing is merged but when a chain is full.
TEST(LayersToMerge, BoundsTheDepthAndCopiesEachByteAFewTimes) {
    Bytes chain{1'000'000};  // an image
    std::int64_t written = 0, copied = 0;
    for (int generation = 0; generation < 1000; ++generation) {
        if (chain.size() >= limits::kChainDepthMax) {
            const std::size_t count = layers_to_merge(chain);
            const auto end = chain.begin() + static_cast<std::ptrdiff_t>(count);
            const std::int64_t sum = std::accumulate(chain.begin(), end, std::int64_t{0});
            copied += sum;
            chain.erase(chain.begin(), end);
            chain.insert(chain.begin(), sum);
            ASSERT_LE(chain.size(), limits::kChainDepthMerged);
        }
        chain.insert(chain.begin(), 10);  // what was written before the next capture sealed it
        written += 10;
        ASSERT_LE(chain.size(), limits::kChainDepthMax);
    }
    EXPECT_LE(copied, 12 * written) << static_cast<double>(copied) / static_cast<double>(written);
    RecordProperty("copied_per_byte_written", std::to_string(static_cast<double>(copied) / static_cast<double>(written)));
}

}  // namespace
}  // namespace ramet::lifecycle
