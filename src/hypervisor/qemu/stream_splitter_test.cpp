#include "hypervisor/qemu/stream_splitter.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "hypervisor/qemu/memory_files.hpp"
#include "support/storage_files.hpp"
#include "support/stream_builder.hpp"

namespace ramet::test {
namespace {

using hypervisor::kGuestPageBytes;
using hypervisor::PageSink;
using hypervisor::split_stream;
using hypervisor::StreamExpectation;

const StreamExpectation kExpected{"pc-q35-7.2", "ram0", 64 * 1024};

class Pages final : public PageSink {
public:
    Result<void> page(std::uint64_t offset, std::span<const std::byte> bytes) override {
        const auto* text = reinterpret_cast<const char*>(bytes.data());
        pages[offset] = bytes.empty() ? std::string() : std::string(text, bytes.size());
        return {};
    }
    std::map<std::uint64_t, std::string> pages;
};

std::string refusal(const std::string& stream) {
    TextSource source(stream);
    Pages pages;
    const Result<std::string> split = split_stream(source, pages, kExpected);
    return split.has_value() ? "" : split.error().detail;
}

// A stream with pages of memory and ROM interleaved, as QEMU sends them.
StreamBuilder usual() {
    StreamBuilder stream;
    stream.header("pc-q35-7.2").ram_start({{"ram0", 64 * 1024}, {"pc.bios", 8192}});
    stream.part().page("ram0", 0, 'a').page("pc.bios", 0, 'b', false).zero("pc.bios", 4096, true).end_part();
    stream.part().page("pc.bios", 4096, 'c', true).zero("ram0", 4096, false).page("ram0", 8192, 'd', true).end_part();
    return stream;
}

TEST(StreamSplitter, TakesTheMemorysPagesOutAndKeepsTheRest) {
    TextSource source(usual().ram_end().devices("state").text());
    Pages pages;
    const Result<std::string> split = split_stream(source, pages, kExpected);
    ASSERT_TRUE(split.has_value()) << split.error().detail;
    ASSERT_EQ(pages.pages.size(), 3U);
    EXPECT_EQ(pages.pages[0], std::string(kGuestPageBytes, 'a'));
    EXPECT_EQ(pages.pages[4096], "");
    EXPECT_EQ(pages.pages[8192], std::string(kGuestPageBytes, 'd'));
    StreamBuilder kept;
    kept.header("pc-q35-7.2").ram_start({{"ram0", 64 * 1024}, {"pc.bios", 8192}});
    kept.part().page("pc.bios", 0, 'b', false).zero("pc.bios", 4096, true).end_part();
    kept.part().page("pc.bios", 4096, 'c', true).end_part();
    EXPECT_EQ(*split, kept.ram_end().devices("state").text());
}

TEST(StreamSplitter, NamesTheBlockAgainWhenTheRecordBeforeIsGone) {
    StreamBuilder stream;
    stream.header("pc-q35-7.2").ram_start({{"ram0", 64 * 1024}, {"pc.bios", 4096}, {"pc.rom", 4096}});
    stream.part().page("pc.rom", 0, 'r', false).page("pc.bios", 0, 'b', false).page("ram0", 0, 'a', false).page("ram0", 4096, 'a', true);
    TextSource source(stream.page("pc.rom", 0, 's', false).end_part().ram_end().devices("").text());
    Pages pages;
    const Result<std::string> split = split_stream(source, pages, kExpected);
    ASSERT_TRUE(split.has_value()) << split.error().detail;
    // The kept stream must itself be one that can be read: the same blocks, no memory.
    TextSource again(*split);
    Pages none;
    const Result<std::string> same = split_stream(again, none, kExpected);
    ASSERT_TRUE(same.has_value()) << same.error().detail;
    EXPECT_EQ(*same, *split);
    EXPECT_TRUE(none.pages.empty());
}

TEST(StreamSplitter, LeavesOutTheZerosOfABlockThatIsBlankAnyway) {
    StreamExpectation expected = kExpected;
    expected.blank_block = "screen";
    const std::vector<std::pair<std::string, std::uint64_t>> blocks{{"ram0", 64 * 1024}, {"screen", 16384}, {"pc.bios", 8192}};
    StreamBuilder stream, kept;
    stream.header("pc-q35-7.2").ram_start(blocks);
    stream.part().zero("screen", 0, false).zero("screen", 4096, true).end_part();
    stream.part().zero("screen", 0, false).page("screen", 4096, 's', true).zero("pc.bios", 0, false).zero("screen", 4096, false).end_part();
    kept.header("pc-q35-7.2").ram_start(blocks);
    kept.part().page("screen", 4096, 's', false).zero("pc.bios", 0, false).zero("screen", 4096, false).end_part();
    TextSource source(stream.ram_end().devices("state").text());
    Pages pages;
    const Result<std::string> split = split_stream(source, pages, expected);
    ASSERT_TRUE(split.has_value()) << split.error().detail;
    EXPECT_EQ(*split, kept.ram_end().devices("state").text()) << "what became zero later is told";
}

TEST(StreamSplitter, EndsTheMemorySectionThatABackgroundSnapshotLeavesOpen) {
    TextSource open(usual().devices("state").text()), closed(usual().ram_end().devices("state").text());
    Pages pages;
    EXPECT_EQ(split_stream(open, pages, kExpected).value(), split_stream(closed, pages, kExpected).value());
}

// As a capture does it: whatever was written until then goes with the directory.
std::string refusal_that_leaves_nothing(const std::string& stream, const TempDir& directory) {
    const hypervisor::MemoryPlace place{directory.file("memory")};
    const hypervisor::MemoryFiles files = hypervisor::MemoryFiles::make(place, kExpected.memory_bytes).value();
    hypervisor::MemoryWriter writer(files.memory(), kExpected.memory_bytes);
    TextSource source(stream);
    const Result<std::string> split = split_stream(source, writer, kExpected);
    EXPECT_TRUE(writer.finish().has_value());
    EXPECT_TRUE(hypervisor::remove_memory_files(place).has_value());
    EXPECT_NE(::access(place.directory.c_str(), F_OK), 0);
    return split.has_value() ? "" : split.error().detail;
}

TEST(StreamSplitter, RefusesAStreamCutAtAnyByteAndSaysWhatIsCutShort) {
    StreamBuilder stream;
    std::vector<std::pair<std::size_t, std::string>> parts;  // where each ends
    const auto ends = [&](const char* name, std::size_t after = 0) { parts.emplace_back(stream.text().size() + after, name); };
    const auto page = [&](const char* block, bool same) {
        stream.page(block, 4096, 'x', same);
        parts.emplace_back(stream.text().size() - kGuestPageBytes, "a page's record");
        parts.emplace_back(stream.text().size(), std::string("a page's content of memory block ") + block);
    };
    constexpr std::size_t kFooterBytes = 5, kHeadBytes = 5;
    stream.header("pc-q35-7.2");
    ends("the header");
    ends("the head of a section", 1);
    stream.ram_start({{"ram0", 64 * 1024}, {"pc.bios", 8192}});
    parts.emplace_back(stream.text().size() - kFooterBytes, "the list of memory blocks");
    ends("the end of a section");
    stream.part();
    ends("the head of a section");
    page("ram0", false);
    page("pc.bios", false);
    page("pc.bios", true);
    stream.zero("ram0", 8192, false).end_part();
    parts.emplace_back(stream.text().size() - kFooterBytes, "a page's record");
    ends("the end of a section");
    ends("the head of a section", kHeadBytes);
    stream.ram_end();
    parts.emplace_back(stream.text().size() - kFooterBytes, "a page's record");
    ends("the end of a section");
    ends("the head of a section", 1);
    stream.devices("some device state");
    ends("the device state or the VM description after it");
    const TempDir directory;
    const std::string whole = stream.text();
    ASSERT_EQ(refusal_that_leaves_nothing(whole, directory), "");
    for (std::size_t length = 0; length < whole.size(); ++length) {
        const auto cut = std::find_if(parts.begin(), parts.end(), [&](const auto& part) { return part.first > length; });
        const std::string expected = "after " + std::to_string(length) + " bytes, in " + cut->second;
        ASSERT_EQ(refusal(whole.substr(0, length)), expected);
        if (cut->second.starts_with("a page's content") && length % 64 != 0) continue;  // there one length leaves as much as another
        ASSERT_EQ(refusal_that_leaves_nothing(whole.substr(0, length), directory), expected);
    }
}

TEST(StreamSplitter, RefusesWhatItDoesNotKnow) {
    const auto has = [](const std::string& stream, const char* word) {
        const std::string why = refusal(stream);
        EXPECT_NE(why.find(word), std::string::npos) << why;
    };
    has(StreamBuilder().header("pc-q35-8.0").text(), "machine type pc-q35-8.0");
    has(StreamBuilder().header("pc-q35-7.2").raw("\x05").text(), "section type 5");  // configuration/capabilities
    has(StreamBuilder()
            .header("pc-q35-7.2")
            .raw(std::string("\x01\0\0\0\x01\x05"
                             "block\0\0\0\0\0\0\0\x01",
                             19))
            .text(),
        "'block'");
    has(StreamBuilder().header("pc-q35-7.2").ram_start({{"ram0", 4096}}).text(), "no memory block of the size");
    has(StreamBuilder().header("pc-q35-7.2").ram_start({{"other", 64 * 1024}}).text(), "no memory block of the size");
    has(StreamBuilder().header("pc-q35-7.2").ram_start({{"ram0", 64 * 1024}, {"ram0", 64 * 1024}}).text(), "memory block 'ram0'");
    has(usual().part().page("ram0", 64 * 1024, 'x', false).text(), "beyond the end");
    has(usual().part().page("stranger", 0, 'x', false).text(), "not announced");
    has(usual().part().word(0x40).text(), "flags 64");    // XBZRLE
    has(usual().part().word(0x100).text(), "flags 256");  // compressed
    has(usual().part().word(0x0a).text(), "flags 10");    // a page that is zero and is not
    has(StreamBuilder().header("pc-q35-7.2").ram_start({{"ram0", 64 * 1024}}).part().page("", 0, 'x', true).text(), "a page of no block");
    has(usual().part(7).text(), "a part of section 7");
    has(usual().ram_end().part().end_part().text(), "a part of section");
    has("not a stream at all", "version 3");
}

TEST(MemoryWriter, WritesPagesWhateverTheirOrderWithOneChecksum) {
    const TempDir directory;
    std::string sums[2];
    for (int turn = 0; turn < 2; ++turn) {
        const std::string path = directory.file("ram" + std::to_string(turn));
        const hypervisor::Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        ASSERT_EQ(::ftruncate(file.get(), 64 * 1024), 0);
        hypervisor::MemoryWriter writer(file.get(), 64 * 1024);
        std::vector<std::pair<std::uint64_t, char>> pages{{0, 'a'}, {4096, 'b'}, {40960, 'c'}};
        if (turn == 1) std::reverse(pages.begin(), pages.end());
        for (const auto& [offset, fill] : pages) {
            const std::string page(kGuestPageBytes, fill), stale(kGuestPageBytes, 'z');
            if (turn == 1) {  // sent twice: the last one counts
                ASSERT_TRUE(writer.page(offset, storage::bytes_of(stale)).has_value());
            }
            ASSERT_TRUE(writer.page(offset, storage::bytes_of(page)).has_value());
        }
        // A page of zeros is the same whether QEMU has said so or has sent it.
        ASSERT_TRUE((turn == 1 ? writer.page(8192, storage::bytes_of(std::string(kGuestPageBytes, '\0'))) : writer.page(8192, {})).has_value());
        ASSERT_TRUE(writer.finish().has_value());
        EXPECT_FALSE(writer.page(64 * 1024, {}).has_value());
        sums[turn] = writer.checksum();
        const std::string content = read_file(path);
        EXPECT_EQ(content.size(), 64U * 1024);
        EXPECT_EQ(content.substr(4096, 4096), std::string(4096, 'b'));
        EXPECT_EQ(content.substr(40960, 4096), std::string(4096, 'c'));
        EXPECT_EQ(content.substr(8192, 4096), std::string(4096, '\0'));
    }
    EXPECT_EQ(sums[0], sums[1]);
    EXPECT_NE(sums[0], "0000000000000000");
}

}  // namespace
}  // namespace ramet::test
