#include "http/references.hpp"

#include <string>

namespace ramet::http {

namespace {

struct Walk {
    const ReferenceRule& operate;
    const ReferenceRule& refer;
    bool reads_only;
};

Result<void> walk_fields(const Walk& walk, const TypeInfo& type, void* owner, const std::string& prefix) {
    for (const FieldInfo& field : type.fields) {
        const bool is_reference = !field.rules.names_a.empty() && (field.scalar == Scalar::id || field.scalar == Scalar::text);
        if (!is_reference && field.scalar != Scalar::object) continue;
        void* const member = field.member(owner);
        const std::size_t count = field.count(member);
        for (std::size_t i = 0; i < count; ++i) {
            std::string name = prefix + std::string(field.name);
            if (field.shape == Shape::list) name += "[" + std::to_string(i) + "]";
            void* const item = field.item(member, i);
            if (!is_reference) {
                TRY(walk_fields(walk, field.object(), item, name + "."));
                continue;
            }
            const std::string_view uuid = field.text(item);
            if (uuid.empty()) continue;  // left out: check_rules() refuses one that was sent empty
            const ReferenceRule& rule = field.rules.in_path && !walk.reads_only ? walk.operate : walk.refer;
            TRY(rule(uuid, field.rules.names_a, name));
        }
    }
    return {};
}

}  // namespace

Result<void> check_references(const api::MessageInfo& message, void* request, const ReferenceRule& operate, const ReferenceRule& refer) {
    if (message.request == nullptr) return {};
    return walk_fields(Walk{operate, refer, message.method == api::Method::get}, message.request(), request, "");
}

}  // namespace ramet::http
