#include "storage/dir/chain_source.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <cerrno>

#include "storage/dir/image_tool.hpp"
#include "storage/qcow2_header.hpp"

namespace ramet::storage {

namespace {

struct LayerFacts {
    UniqueFd file;
    std::int64_t virtual_bytes;
    bool builds_on_another;
};

Result<LayerFacts> look_at(const Place& layer, const std::string& path) {
    UniqueFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file.valid()) return io_error("opening a layer of the disk", errno, path);
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return io_error("looking at a layer of the disk", errno, path);
    if (!S_ISREG(status.st_mode)) return fail(ErrorCode::operation_failed, "a layer of the disk is not an ordinary file", path);
    if (layer.format == DiskFormat::raw) return LayerFacts{std::move(file), status.st_size, false};
    TRY_ASSIGN(const Qcow2Header header, read_qcow2_header(file.get(), status.st_size));
    TRY(check_qcow2_layer(header, status.st_size));
    return LayerFacts{std::move(file), static_cast<std::int64_t>(header.virtual_bytes), header.backing_offset != 0};
}

}  // namespace

Result<ChainSource> chain_source(const std::vector<Place>& chain_top_first, std::size_t first_inherited) {
    if (chain_top_first.empty()) return fail(ErrorCode::internal, "a disk without layers cannot be copied");
    ChainSource source{"json:", 0, {}};
    std::string closing;
    for (std::size_t index = 0; index < chain_top_first.size(); ++index) {
        const Place& layer = chain_top_first[index];
        const std::string path = layer.root + "/" + layer.path;
        const bool last = index + 1 == chain_top_first.size();
        Result<LayerFacts> facts = look_at(layer, path);
        if (!facts.has_value()) return failed("looking at layer " + std::to_string(index) + " of the disk", std::move(facts.error()));
        if (facts->builds_on_another == last) {
            return fail(ErrorCode::operation_failed, "the disk's list of layers does not match its files; it is not copied", path);
        }
        if (index == 0) source.virtual_bytes = facts->virtual_bytes;
        source.json_name += "{\"driver\":\"" + std::string(name_of(layer.format)) + "\",\"file\":{\"driver\":\"file\",\"filename\":\"" +
                            inherited_name(first_inherited + index) + "\"}";
        if (layer.format == DiskFormat::qcow2) source.json_name += last ? ",\"backing\":null" : ",\"backing\":";
        closing += '}';
        source.files.push_back(std::move(facts->file));
    }
    source.json_name += closing;
    return source;
}

}  // namespace ramet::storage
