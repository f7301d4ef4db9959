// Migration streams made by hand, for tests of what takes them apart.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "hypervisor/qemu/stream_splitter.hpp"

namespace ramet::test {

class TextSource final : public hypervisor::ByteSource {
public:
    explicit TextSource(std::string text, std::size_t at_once = 1000) : text_(std::move(text)), at_once_(at_once) {}
    Result<std::size_t> read(std::span<std::byte> buffer) override {
        const std::size_t count = std::min({buffer.size(), text_.size() - place_, at_once_});
        std::memcpy(buffer.data(), text_.data() + place_, count);
        place_ += count;
        return count;
    }

private:
    std::string text_;
    std::size_t at_once_, place_ = 0;
};

class StreamBuilder {
public:
    StreamBuilder& raw(const std::string& bytes) {
        text_ += bytes;
        return *this;
    }
    StreamBuilder& header(const std::string& machine) {
        raw("QEVM").number(3, 4).raw("\x07").number(machine.size(), 4).raw(machine);
        return *this;
    }
    StreamBuilder& ram_start(const std::vector<std::pair<std::string, std::uint64_t>>& blocks) {
        std::uint64_t total = 0;
        for (const auto& [name, bytes] : blocks) total += bytes;
        raw("\x01").number(kSection, 4).name("ram").number(0, 4).number(4, 4).word(total | 0x04);
        for (const auto& [block, bytes] : blocks) name(block).number(bytes, 8);
        return word(0x10).footer();
    }
    StreamBuilder& part(std::uint32_t section = kSection) { return raw("\x02").number(section, 4); }
    StreamBuilder& end_part() { return word(0x10).footer(); }
    StreamBuilder& page(const std::string& block, std::uint64_t offset, char fill, bool same = false) {
        word(offset | 0x08 | (same ? 0x20 : 0));
        if (!same) name(block);
        return raw(std::string(hypervisor::kGuestPageBytes, fill));
    }
    StreamBuilder& zero(const std::string& block, std::uint64_t offset, bool same = false) {
        word(offset | 0x02 | (same ? 0x20 : 0));
        if (!same) name(block);
        return number(0, 1);
    }
    StreamBuilder& ram_end() { return raw("\x03").number(kSection, 4).end_part(); }
    StreamBuilder& devices(const std::string& state) {
        const std::string table = "{\"page_size\":4096,\"devices\":[]}";
        return raw("\x04").raw(state).number(0, 1).raw("\x06").number(table.size(), 4).raw(table);
    }
    StreamBuilder& word(std::uint64_t value) { return number(value, 8); }
    const std::string& text() const { return text_; }

private:
    static constexpr std::uint32_t kSection = 2;
    StreamBuilder& number(std::uint64_t value, int bytes) {
        while (bytes-- > 0) text_ += static_cast<char>(value >> (8 * bytes));
        return *this;
    }
    StreamBuilder& name(const std::string& value) { return number(value.size(), 1).raw(value); }
    StreamBuilder& footer() { return raw("\x7e").number(kSection, 4); }
    std::string text_;
};

}  // namespace ramet::test
