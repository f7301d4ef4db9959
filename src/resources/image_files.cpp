#include "resources/image_files.hpp"

#include <filesystem>

namespace ramet::resources {

namespace fs = std::filesystem;

std::string image_file_path(const std::string& storage_root, const ImageId& image, const std::string& format) {
    return storage_root + "/images/" + image.text() + "/" + image.text() + "." + format;
}

Result<void> make_image_folder(const std::string& file_path) {
    std::error_code problem;
    fs::create_directories(fs::path(file_path).parent_path(), problem);
    if (!problem) return {};
    return fail(ErrorCode::operation_failed, "the backup storage cannot be written; check its disk and its permissions",
                file_path + ": " + problem.message());
}

Result<void> remove_image_file(const std::string& file_path) {
    for (const std::string& path : {file_path + ".partial", file_path}) {
        std::error_code problem;
        fs::remove(path, problem);
        if (problem)
            return fail(ErrorCode::operation_failed, "the image's file cannot be removed; check the backup storage", path + ": " + problem.message());
    }
    std::error_code not_empty;  // or not there: both are fine
    fs::remove(fs::path(file_path).parent_path(), not_empty);
    return {};
}

}  // namespace ramet::resources
