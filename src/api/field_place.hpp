// Where in a message a value stands, for error texts: "vmNicParams[1].mac". A chain on the stack; rendered only when something is wrong.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ramet::api {

struct FieldPlace {
    static constexpr std::size_t kNoIndex = static_cast<std::size_t>(-1);
    const FieldPlace* parent = nullptr;
    std::string_view name = {};
    std::size_t index = kNoIndex;

    std::string text() const {
        std::string out = parent == nullptr ? std::string() : parent->text();
        if (!name.empty()) {
            if (!out.empty()) out += '.';
            out += name;
        }
        if (index != kNoIndex) out += '[' + std::to_string(index) + ']';
        return out;
    }
};

}  // namespace ramet::api
