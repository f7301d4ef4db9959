#include "guest/user_data.hpp"

#include <sodium.h>

namespace ramet::guest {

Result<std::string> decode_user_data(std::string_view base64) {
    std::string text(base64.size(), '\0');
    std::size_t length = 0;
    const int failed = sodium_base642bin(reinterpret_cast<unsigned char*>(text.data()), text.size(), base64.data(), base64.size(), " \r\n", &length,
                                         nullptr, sodium_base64_VARIANT_ORIGINAL);
    if (failed != 0) return fail(ErrorCode::invalid_argument, "the userdata tag is not base64; encode the user data with `base64 -w0`");
    text.resize(length);
    return text;
}

}  // namespace ramet::guest
