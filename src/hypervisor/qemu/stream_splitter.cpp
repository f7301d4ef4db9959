#include "hypervisor/qemu/stream_splitter.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace ramet::hypervisor {
namespace {

constexpr std::uint32_t kMagic = 0x5145564d;  // "QEVM"
constexpr std::uint32_t kVersion = 3;
constexpr std::uint32_t kRamVersion = 4;
constexpr std::size_t kBufferBytes = 256 << 10;
constexpr std::size_t kBlocksMax = 256;     // a machine of ours has a dozen
constexpr std::size_t kTextBytesMax = 255;  // one length byte
constexpr std::uint64_t kBlockBytesMax = 1ULL << 52;

enum Section : std::uint8_t { eof = 0, start = 1, part = 2, end = 3, full = 4, configuration = 7, description = 6, footer = 0x7e };
enum RamFlag : std::uint64_t { zero = 0x02, mem_size = 0x04, whole_page = 0x08, eos = 0x10, same_block = 0x20 };

// What may be cut short, as people are told.
constexpr const char* kHeader = "the header";
constexpr const char* kHead = "the head of a section";
constexpr const char* kBlockList = "the list of memory blocks";
constexpr const char* kRecord = "a page's record";
constexpr const char* kContent = "a page's content";
constexpr const char* kFooter = "the end of a section";
constexpr const char* kDevices = "the device state or the VM description after it";

std::unexpected<Error> unknown(const std::string& what) {
    return fail(ErrorCode::operation_failed, "QEMU's stream of the VM's state holds something this version does not know; see the server's log",
                what);
}

class Splitter {
public:
    Splitter(ByteSource& source, PageSink& sink, const StreamExpectation& expectation)
        : source_(source),
          sink_(sink),
          expectation_(expectation),
          buffer_(kBufferBytes) {}

    Result<std::string> run() {
        TRY(header());
        while (true) {
            part_ = kHead;
            TRY_ASSIGN(const std::uint8_t kind, byte());
            switch (kind) {
            case Section::start: TRY(ram_start()); break;
            case Section::part:
            case Section::end: TRY(ram_part(kind)); break;
            case Section::full: TRY(finish_ram()); return rest();
            default: return unknown("section type " + std::to_string(kind) + " before the device state");
            }
        }
    }

private:
    // --- input
    std::unexpected<Error> ended_early() const {
        std::string what = "after " + std::to_string(received_) + " bytes, in " + part_;
        if (part_ == kContent) what += " of memory block " + block_->first;
        return fail(ErrorCode::operation_failed, "QEMU's stream of the VM's state ended early", what);
    }
    // False at the end.
    Result<bool> receive() {
        TRY_ASSIGN(filled_, source_.read(buffer_));
        position_ = 0;
        received_ += filled_;
        return filled_ > 0;
    }
    Result<void> refill() {
        TRY_ASSIGN(const bool is_more, receive());
        if (!is_more) return ended_early();
        return {};
    }
    Result<void> read(std::byte* to, std::size_t count) {
        while (count > 0) {
            if (position_ == filled_) TRY(refill());
            const std::size_t now = std::min(count, filled_ - position_);
            std::memcpy(to, buffer_.data() + position_, now);
            position_ += now;
            to += now;
            count -= now;
        }
        return {};
    }
    Result<std::uint8_t> byte() {
        std::byte value{};
        TRY(read(&value, 1));
        return std::to_integer<std::uint8_t>(value);
    }
    template <class Number>
    Result<Number> number() {
        std::array<std::byte, sizeof(Number)> bytes;
        TRY(read(bytes.data(), bytes.size()));
        Number value = 0;
        for (const std::byte one : bytes) value = static_cast<Number>(value << 8 | std::to_integer<Number>(one));
        return value;
    }
    Result<std::string> text(std::size_t length) {
        std::string value(length, '\0');
        TRY(read(reinterpret_cast<std::byte*>(value.data()), length));
        return value;
    }
    Result<std::string> short_text() {
        TRY_ASSIGN(const std::uint8_t length, byte());
        return text(length);
    }

    // --- output
    void put(std::uint8_t value) { out_.push_back(static_cast<char>(value)); }
    template <class Number>
    void put_number(Number value) {
        for (std::size_t shift = sizeof value; shift-- > 0;) put(static_cast<std::uint8_t>(value >> (8 * shift)));
    }
    void put_text(const std::string& value) {
        put(static_cast<std::uint8_t>(value.size()));
        out_ += value;
    }
    Result<void> check_room() const {
        if (out_.size() > kStateBytesMax) return unknown("the device state is larger than any known");
        return {};
    }

    // --- the stream, top to bottom
    Result<void> header() {
        TRY_ASSIGN(const auto magic, number<std::uint32_t>());
        TRY_ASSIGN(const auto version, number<std::uint32_t>());
        if (magic != kMagic || version != kVersion) return unknown("not a migration stream of version 3");
        TRY_ASSIGN(const std::uint8_t kind, byte());
        if (kind != Section::configuration) return unknown("no configuration section");
        TRY_ASSIGN(const auto length, number<std::uint32_t>());
        if (length > kTextBytesMax) return unknown("a machine type of " + std::to_string(length) + " bytes");
        TRY_ASSIGN(const std::string machine, text(length));
        if (machine != expectation_.machine_type) return unknown("machine type " + machine);
        put_number(magic);
        put_number(version);
        put(kind);
        put_number(length);
        out_ += machine;
        return {};
    }

    Result<void> ram_start() {
        if (ram_section_) return unknown("a second section that is sent in parts");
        part_ = kBlockList;
        TRY_ASSIGN(const auto id, number<std::uint32_t>());
        TRY_ASSIGN(const std::string name, short_text());
        TRY_ASSIGN(const auto instance, number<std::uint32_t>());
        TRY_ASSIGN(const auto version, number<std::uint32_t>());
        if (name != "ram" || instance != 0 || version != kRamVersion) {
            return unknown("section '" + name + "' version " + std::to_string(version) + ", sent in parts");
        }
        ram_section_ = id;
        put(Section::start);
        put_number(id);
        put_text(name);
        put_number(instance);
        put_number(version);
        TRY_ASSIGN(const auto word, number<std::uint64_t>());
        if ((word & 0xfff) != RamFlag::mem_size) return unknown("a ram section that does not begin with its blocks");
        put_number(word);
        TRY(block_list(word & ~std::uint64_t{0xfff}));
        TRY_ASSIGN(const auto after, number<std::uint64_t>());
        if (after != RamFlag::eos) return unknown("something after the list of memory blocks");
        put_number(after);
        return section_footer(true);
    }

    Result<void> block_list(std::uint64_t total) {
        while (total > 0) {
            TRY_ASSIGN(const std::string name, short_text());
            TRY_ASSIGN(const auto bytes, number<std::uint64_t>());
            if (name.empty() || bytes == 0 || bytes > total || bytes > kBlockBytesMax || blocks_.size() == kBlocksMax ||
                !blocks_.emplace(name, bytes).second) {
                return unknown("memory block '" + name + "' of " + std::to_string(bytes) + " bytes");
            }
            total -= bytes;
            put_text(name);
            put_number(bytes);
        }
        const auto main = blocks_.find(expectation_.memory_block);
        if (main == blocks_.end() || main->second != expectation_.memory_bytes) return unknown("no memory block of the size the VM should have");
        return {};
    }

    Result<void> ram_part(std::uint8_t kind) {
        TRY_ASSIGN(const auto id, number<std::uint32_t>());
        if (ram_section_ != id || ended_) return unknown("a part of section " + std::to_string(id));
        while (true) {
            part_ = kRecord;
            TRY_ASSIGN(const auto word, number<std::uint64_t>());
            if (word == RamFlag::eos) break;
            TRY(ram_record(word));
        }
        if (part_open_) put_number(std::uint64_t{RamFlag::eos});
        TRY(section_footer(part_open_));
        part_open_ = false;
        if (kind == Section::end) {
            ended_ = true;
            put_end();
        }
        return check_room();
    }

    Result<void> ram_record(std::uint64_t word) {
        const std::uint64_t flags = word & 0xfff, offset = word & ~std::uint64_t{0xfff};
        const std::uint64_t kind = flags & ~std::uint64_t{RamFlag::same_block};
        if (kind != RamFlag::zero && kind != RamFlag::whole_page) return unknown("a page record with flags " + std::to_string(flags));
        if ((flags & RamFlag::same_block) == 0) {
            TRY_ASSIGN(const std::string name, short_text());
            const auto found = blocks_.find(name);
            if (found == blocks_.end()) return unknown("a page of memory block '" + name + "', which was not announced");
            block_ = &*found;
        }
        if (block_ == nullptr) return unknown("a page of no block");
        if (offset >= block_->second || block_->second - offset < kGuestPageBytes) return unknown("a page beyond the end of " + block_->first);
        std::array<std::byte, kGuestPageBytes> page;
        std::span<const std::byte> bytes;
        if (kind == RamFlag::whole_page) {
            part_ = kContent;
            TRY(read(page.data(), page.size()));
            bytes = page;
        } else {
            TRY_ASSIGN(const std::uint8_t fill, byte());
            if (fill != 0) return unknown("a page filled with " + std::to_string(fill));
        }
        if (block_->first == expectation_.memory_block) return sink_.page(offset, bytes);
        if (block_->first == expectation_.blank_block) {
            // Zeros count where something else came before.
            if (bytes.empty() && !marked_.contains(offset)) return {};
            marked_.insert(offset);
        }
        return keep(offset, kind, bytes);
    }

    // A page of another block: as it was, but for the flag that says "same block as the record before", as records between are gone.
    Result<void> keep(std::uint64_t offset, std::uint64_t kind, std::span<const std::byte> bytes) {
        if (!part_open_) {
            part_open_ = true;
            put(Section::part);
            put_number(*ram_section_);
        }
        const bool same = kept_ == block_;
        put_number(offset | kind | (same ? std::uint64_t{RamFlag::same_block} : 0));
        if (!same) put_text(block_->first);
        kept_ = block_;
        if (bytes.empty())
            put(0);
        else
            out_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return check_room();
    }

    Result<void> section_footer(bool kept) {
        part_ = kFooter;
        TRY_ASSIGN(const std::uint8_t mark, byte());
        TRY_ASSIGN(const auto id, number<std::uint32_t>());
        if (mark != Section::footer || ram_section_ != id) return unknown("a section without its footer");
        if (kept) put_footer();
        return {};
    }
    void put_footer() {
        put(Section::footer);
        put_number(*ram_section_);
    }
    void put_end() {
        put(Section::end);
        put_number(*ram_section_);
        put_number(std::uint64_t{RamFlag::eos});
        put_footer();
    }

    // Background snapshots have no end of the ram section.
    Result<void> finish_ram() {
        if (!ram_section_) return unknown("device state before the memory");
        if (!ended_) put_end();
        put(Section::full);
        return {};
    }

    Result<std::string> rest() {
        part_ = kDevices;
        const std::size_t begun = out_.size();
        for (bool is_more = true; is_more;) {
            out_.append(reinterpret_cast<const char*>(buffer_.data() + position_), filled_ - position_);
            TRY(check_room());
            TRY_ASSIGN(is_more, receive());
        }
        if (!ends_whole(std::string_view(out_).substr(begun))) return ended_early();
        return std::move(out_);
    }

    // Device state cannot be walked without knowing every device, but the stream ends with its own table of contents: EOF, 0x06, its length,
    // JSON. A stream that was cut anywhere does not.
    static bool ends_whole(std::string_view tail) {
        constexpr std::size_t kBefore = 6;
        if (tail.size() <= kBefore || tail.back() != '}') return false;
        for (std::size_t json = tail.size() - 1; json >= kBefore; --json) {
            const auto c = static_cast<unsigned char>(tail[json]);
            if (tail[json] == '{' && tail[json - 5] == Section::description && tail[json - 6] == Section::eof) {
                std::uint64_t length = 0;
                for (std::size_t i = json - 4; i < json; ++i) length = length << 8 | static_cast<unsigned char>(tail[i]);
                if (length == tail.size() - json) return true;
            }
            if (c < 0x20 && c != '\n' && c != '\t' && c != '\r') return false;
        }
        return false;
    }

    ByteSource& source_;
    PageSink& sink_;
    const StreamExpectation& expectation_;
    std::vector<std::byte> buffer_;
    std::size_t position_ = 0, filled_ = 0;
    std::uint64_t received_ = 0;
    const char* part_ = kHeader;  // what is being read
    std::string out_;
    std::map<std::string, std::uint64_t> blocks_;  // name, bytes
    using Block = std::map<std::string, std::uint64_t>::value_type;
    const Block* block_ = nullptr;              // of the record before, in the input
    const Block* kept_ = nullptr;               // of the record before, in the output
    std::unordered_set<std::uint64_t> marked_;  // pages of the blank block that were kept
    std::optional<std::uint32_t> ram_section_;
    bool part_open_ = false, ended_ = false;
};

}  // namespace

Result<std::string> split_stream(ByteSource& source, PageSink& sink, const StreamExpectation& expectation) {
    return Splitter(source, sink, expectation).run();
}

}  // namespace ramet::hypervisor
