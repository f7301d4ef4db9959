// The known system tags (contract 7.2, 7.3), as data. A {token} takes any text that its name's check accepts.
#pragma once

#include <span>
#include <string_view>

namespace ramet::resources {

struct TagTraits {
    bool admin_only = false;
    bool cloneable = true;
    bool single = false;     // at most one per resource
    bool ephemeral = false;  // asks for something once; not kept
};

struct TagPattern {
    std::string_view text;  // "hostname::{hostname}"
    TagTraits traits{};
};

struct TaggedType {
    std::string_view vo_type;
    std::span<const TagPattern> patterns;
};

std::span<const TaggedType> tagged_types();

}  // namespace ramet::resources
