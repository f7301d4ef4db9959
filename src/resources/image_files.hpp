// The files of images on backup storages.
#pragma once

#include <string>

#include "base/id.hpp"
#include "base/result.hpp"

namespace ramet::resources {

// "<root>/images/<uuid>/<uuid>.<format>".
std::string image_file_path(const std::string& storage_root, const ImageId& image, const std::string& format);

// Makes the folder that the file will lie in.
Result<void> make_image_folder(const std::string& file_path);

// The file, its ".partial", and its folder when that is then empty. None is success.
Result<void> remove_image_file(const std::string& file_path);

}  // namespace ramet::resources
