#include "lifecycle/layers.hpp"

#include "lifecycle/lifecycle_fixture_test.hpp"

namespace ramet::lifecycle {
namespace {

class LayersTest : public LifecycleFixture {
protected:
    Layer doomed(int number, std::int64_t date, std::optional<LayerId> parent) {
        Layer layer;
        layer.uuid = LayerId::trusted(test::uuid_text(number));
        layer.primary_storage_uuid = pool.storage.uuid;
        layer.path = "layer-" + std::to_string(number) + ".qcow2";
        layer.parent_uuid = std::move(parent);
        layer.deleting = true;
        layer.create_date = Timestamp{date};
        pool.add(layer);
        return layer;
    }
    void expect_all_removed() {
        const Result<void> removed = remove_doomed_layers(parts);
        EXPECT_TRUE(removed.has_value()) << removed.error().message << " " << removed.error().detail;
        EXPECT_TRUE(pool.rows<Layer>({{"deleting", std::int64_t{1}}}).empty());
    }
};

TEST_F(LayersTest, ADoomedChainOfOneMillisecondIsRemovedTopFirst) {
    const Layer base = doomed(50, 1000, std::nullopt);
    const Layer middle = doomed(51, 1000, base.uuid);
    doomed(52, 1000, middle.uuid);
    expect_all_removed();
}

TEST_F(LayersTest, ADoomedChainThatWasMadeWhileTheClockWasPutBackIsRemovedTopFirst) {
    const Layer base = doomed(50, 3000, std::nullopt);
    const Layer middle = doomed(51, 1000, base.uuid);
    doomed(52, 2000, middle.uuid);
    expect_all_removed();
}

// A job removes a layer whose child another job has doomed and not removed yet.
TEST_F(LayersTest, ADoomedLayerIsRemovedWhoeverRemovesWhatStandsOnIt) {
    const Layer base = doomed(50, 1000, std::nullopt);
    const Layer top = doomed(51, 1000, base.uuid);
    const Result<void> removed = remove_layers(parts, {base});
    ASSERT_TRUE(removed.has_value()) << removed.error().message << " " << removed.error().detail;
    EXPECT_EQ(pool.rows<Layer>({{"deleting", std::int64_t{1}}}).size(), 1U);
    ASSERT_TRUE(remove_layers(parts, {top}).has_value());
    expect_all_removed();
}

}  // namespace
}  // namespace ramet::lifecycle
