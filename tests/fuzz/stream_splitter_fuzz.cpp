// libFuzzer: whatever bytes come instead of QEMU's stream, the splitter ends, in bounded memory, and what it lets through it lets through again.
#include <cstdlib>

#include "hypervisor/qemu/stream_splitter.hpp"
#include "support/stream_builder.hpp"

namespace {

using namespace ramet;

constexpr std::uint64_t kMemoryBytes = 64 * 1024;

class Pages final : public hypervisor::PageSink {
public:
    Result<void> page(std::uint64_t offset, std::span<const std::byte> bytes) override {
        if (offset % hypervisor::kGuestPageBytes != 0 || offset >= kMemoryBytes) std::abort();
        if (!bytes.empty() && bytes.size() != hypervisor::kGuestPageBytes) std::abort();
        ++count;
        return {};
    }
    int count = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const hypervisor::StreamExpectation expected{"pc-q35-7.2", "ram0", kMemoryBytes, "pc.bios"};
    test::TextSource source(std::string(reinterpret_cast<const char*>(data), size), 4096);
    Pages pages;
    const Result<std::string> split = hypervisor::split_stream(source, pages, expected);
    if (!split.has_value()) return 0;
    test::TextSource kept(*split);
    Pages none;
    const Result<std::string> again = hypervisor::split_stream(kept, none, expected);
    if (!again.has_value() || *again != *split || none.count != 0) std::abort();
    return 0;
}
