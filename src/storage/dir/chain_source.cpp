#include "storage/dir/chain_source.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <cerrno>

#include "storage/dir/image_tool.hpp"

namespace ramet::storage {

namespace {

Result<OpenLayer> look_at(const Place& layer, const std::string& path) {
    OpenLayer open;
    open.file = UniqueFd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!open.file.valid()) return io_error("opening a layer of the disk", errno, path);
    struct stat status{};
    if (::fstat(open.file.get(), &status) != 0) return io_error("looking at a layer of the disk", errno, path);
    if (!S_ISREG(status.st_mode)) return fail(ErrorCode::operation_failed, "a layer of the disk is not an ordinary file", path);
    open.format = layer.format;
    open.file_bytes = status.st_size;
    open.virtual_bytes = status.st_size;
    if (layer.format == DiskFormat::raw) return open;
    TRY_ASSIGN(open.header, read_qcow2_header(open.file.get(), status.st_size));
    TRY(check_qcow2_layer(open.header, status.st_size));
    open.virtual_bytes = static_cast<std::int64_t>(open.header.virtual_bytes);
    return open;
}

bool builds_on_another(const OpenLayer& layer) { return layer.format == DiskFormat::qcow2 && layer.header.backing_offset != 0; }

// `base_bytes`: see ChainSource.
Result<ChainSource> open_all(const std::vector<Place>& top_first, std::int64_t base_bytes) {
    if (top_first.empty()) return fail(ErrorCode::internal, "a disk without layers cannot be copied");
    ChainSource source;
    source.base_bytes = base_bytes;
    for (std::size_t index = 0; index < top_first.size(); ++index) {
        const Place& layer = top_first[index];
        const std::string path = layer.root + "/" + layer.path;
        const bool lowest = base_bytes == 0 && index + 1 == top_first.size();
        Result<OpenLayer> open = look_at(layer, path);
        if (!open.has_value()) return failed("looking at layer " + std::to_string(index) + " of the disk", std::move(open.error()));
        if (builds_on_another(*open) == lowest) {
            return fail(ErrorCode::operation_failed, "the disk's list of layers does not match its files; it is not copied", path);
        }
        source.layers.push_back(std::move(*open));
    }
    return source;
}

}  // namespace

Result<ChainSource> open_chain(const std::vector<Place>& chain_top_first) { return open_all(chain_top_first, 0); }

Result<ChainSource> open_layers_above(const Place& base, const std::vector<Place>& upper_top_first) {
    TRY_ASSIGN(const OpenLayer lowest, look_at(base, base.root + "/" + base.path));
    return open_all(upper_top_first, lowest.virtual_bytes);
}

std::string tool_name_of(const ChainSource& source, std::size_t first_inherited) {
    std::string name = "json:";
    std::string closing;
    for (std::size_t index = 0; index < source.layers.size(); ++index) {
        const DiskFormat format = source.layers[index].format;
        const bool last = index + 1 == source.layers.size();
        name += "{\"driver\":\"" + std::string(name_of(format)) + R"(","file":{"driver":"file","filename":")" +
                inherited_name(first_inherited + index) + "\"}";
        if (format == DiskFormat::qcow2) name += last ? ",\"backing\":null" : ",\"backing\":";
        closing += '}';
    }
    return name + closing;
}

}  // namespace ramet::storage
