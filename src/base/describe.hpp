// One description per struct: from it come JSON in and out, validation, OpenAPI, the explorer, SQL columns and query fields.
//
//   template <> const TypeInfo& describe<Zone>() {
//       static const TypeInfo info = object<Zone>("Zone", "A data centre.",
//           field<&Zone::uuid>("uuid", "Its uuid.", {.primary = true}),
//           field<&Zone::name>("name", "Its name.", {.required = true}));
//       return info;
//   }
//
// The description is data: readers and writers are ordinary functions over TypeInfo and a void pointer, not templates.
// Thread rules: descriptions are immutable after their first use and may be read from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/id.hpp"

namespace ramet {

struct TypeInfo;
using DescribeFunction = const TypeInfo& (*)();

template <class T>
const TypeInfo& describe();  // specialised beside each described struct, in its .cpp

// Names of an enum's values, in the order of their numbers from 0: specialise for each enum that is described.
template <class E>
inline constexpr std::span<const std::string_view> enum_names{};

template <class E>
constexpr std::string_view name_of(E value) {
    return enum_names<E>[static_cast<std::size_t>(value)];
}

template <class E>
std::optional<E> enum_from(std::string_view text) {
    for (std::size_t i = 0; i < enum_names<E>.size(); ++i) {
        if (enum_names<E>[i] == text) return static_cast<E>(i);
    }
    return std::nullopt;
}

enum class Scalar : std::uint8_t { text, id, enumeration, integer, boolean, timestamp, object };
enum class Shape : std::uint8_t { one, optional, list };

// What a value must satisfy and where it lives. Unset members demand nothing.
struct FieldRules {
    bool required = false;
    bool in_path = false;      // a message field filled from the URL
    bool primary = false;      // a row's key column
    bool relation = false;     // a row's child rows: on the wire, not a column
    bool internal = false;     // a column, never on the wire
    bool transient = false;    // on the wire, computed at read time, not a column
    bool secret = false;       // never logged, never kept in a job
    bool loose_shape = false;  // list fields that also accept one JSON string holding the list, and items that are JSON strings
    std::size_t characters_max = 0;
    std::size_t items_min = 0;
    std::size_t items_max = 0;
    std::optional<std::int64_t> at_least;
    std::optional<std::int64_t> at_most;
    std::span<const std::string_view> one_of{};  // for text fields; compared ignoring case, normalised to the listed spelling
    std::string_view names_a = {};   // the resource a uuid must name, as its VO type ("HostVO"): checked and authorised before the handler
    std::string_view fallback = {};  // documented default
    std::string_view example = {};
    std::string_view since = {};
};

struct FieldInfo {
    std::string_view name;
    std::string_view doc;
    FieldRules rules;
    Scalar scalar = Scalar::text;
    Shape shape = Shape::one;
    DescribeFunction object = nullptr;           // for Scalar::object
    std::span<const std::string_view> values{};  // for Scalar::enumeration

    void* (*member)(void* owner) = nullptr;  // address of the member itself

    // optional and list members; item 0 of Shape::one is the member
    std::size_t (*count)(const void* member) = nullptr;
    void* (*item)(void* member, std::size_t index) = nullptr;
    void* (*append)(void* member) = nullptr;  // emplaces an optional or pushes a list item; returns the new item
    void (*clear)(void* member) = nullptr;

    // scalars: text, id and enumeration speak text; integer, boolean and timestamp speak numbers
    std::string_view (*text)(const void* item) = nullptr;
    bool (*set_text)(void* item, std::string_view) = nullptr;  // false: not a value of this type
    std::int64_t (*number)(const void* item) = nullptr;
    void (*set_number)(void* item, std::int64_t) = nullptr;
};

struct TypeInfo {
    std::string_view name;
    std::string_view doc;
    std::vector<FieldInfo> fields;
    std::string_view table = {};         // rows: SQL table; empty for messages
    std::string_view vo_type = {};       // rows: "VmInstanceVO"
    std::string_view schema_class = {};  // rows: "org.zstack.header.vm.VmInstanceInventory"
    const FieldInfo* find(std::string_view field) const {
        for (const FieldInfo& candidate : fields)
            if (candidate.name == field) return &candidate;
        return nullptr;
    }
};

namespace describe_detail {

template <class T> struct IsId : std::false_type {};
template <class K> struct IsId<Id<K>> : std::true_type {};
template <class T> struct Unwrap {
    using Item = T;
    static constexpr Shape shape = Shape::one;
};
template <class T> struct Unwrap<std::optional<T>> {
    using Item = T;
    static constexpr Shape shape = Shape::optional;
};
template <class T> struct Unwrap<std::vector<T>> {
    using Item = T;
    static constexpr Shape shape = Shape::list;
};
template <class T> struct OwnerOf;
template <class C, class M> struct OwnerOf<M C::*> {
    using Class = C;
    using Member = M;
};

template <class Item>
void fill_scalar(FieldInfo& info) {
    if constexpr (std::is_same_v<Item, std::string>) {
        info.scalar = Scalar::text;
        info.text = [](const void* item) { return std::string_view(*static_cast<const std::string*>(item)); };
        info.set_text = [](void* item, std::string_view text) {
            static_cast<std::string*>(item)->assign(text);
            return true;
        };
    } else if constexpr (IsId<Item>::value) {
        info.scalar = Scalar::id;
        info.text = [](const void* item) { return std::string_view(static_cast<const Item*>(item)->text()); };
        info.set_text = [](void* item, std::string_view text) {
            *static_cast<Item*>(item) = Item::trusted(std::string(text));
            return true;
        };
    } else if constexpr (std::is_enum_v<Item>) {
        info.scalar = Scalar::enumeration;
        info.values = enum_names<Item>;
        info.text = [](const void* item) { return name_of(*static_cast<const Item*>(item)); };
        info.set_text = [](void* item, std::string_view text) {
            const std::optional<Item> value = enum_from<Item>(text);
            if (value) *static_cast<Item*>(item) = *value;
            return value.has_value();
        };
    } else if constexpr (std::is_same_v<Item, bool>) {
        info.scalar = Scalar::boolean;
        info.number = [](const void* item) { return static_cast<std::int64_t>(*static_cast<const bool*>(item)); };
        info.set_number = [](void* item, std::int64_t number) { *static_cast<bool*>(item) = number != 0; };
    } else if constexpr (std::is_same_v<Item, std::int64_t>) {
        info.scalar = Scalar::integer;
        info.number = [](const void* item) { return *static_cast<const std::int64_t*>(item); };
        info.set_number = [](void* item, std::int64_t number) { *static_cast<std::int64_t*>(item) = number; };
    } else if constexpr (std::is_same_v<Item, Timestamp>) {
        info.scalar = Scalar::timestamp;
        info.number = [](const void* item) { return static_cast<const Timestamp*>(item)->milliseconds; };
        info.set_number = [](void* item, std::int64_t number) { static_cast<Timestamp*>(item)->milliseconds = number; };
    } else {
        info.scalar = Scalar::object;
        info.object = &describe<Item>;
    }
}

}  // namespace describe_detail

template <auto Member>
FieldInfo field(std::string_view name, std::string_view doc, FieldRules rules = {}) {
    using Owner = typename describe_detail::OwnerOf<decltype(Member)>::Class;
    using MemberType = typename describe_detail::OwnerOf<decltype(Member)>::Member;
    using Item = typename describe_detail::Unwrap<MemberType>::Item;
    FieldInfo info;
    info.name = name;
    info.doc = doc;
    info.rules = rules;
    info.shape = describe_detail::Unwrap<MemberType>::shape;
    info.member = [](void* owner) -> void* { return &(static_cast<Owner*>(owner)->*Member); };
    if constexpr (describe_detail::Unwrap<MemberType>::shape == Shape::optional) {
        info.count = [](const void* member) -> std::size_t { return static_cast<const MemberType*>(member)->has_value() ? 1 : 0; };
        info.item = [](void* member, std::size_t) -> void* { return &**static_cast<MemberType*>(member); };
        info.append = [](void* member) -> void* { return &static_cast<MemberType*>(member)->emplace(); };
        info.clear = [](void* member) { static_cast<MemberType*>(member)->reset(); };
    } else if constexpr (describe_detail::Unwrap<MemberType>::shape == Shape::list) {
        info.count = [](const void* member) -> std::size_t { return static_cast<const MemberType*>(member)->size(); };
        info.item = [](void* member, std::size_t index) -> void* { return &(*static_cast<MemberType*>(member))[index]; };
        info.append = [](void* member) -> void* { return &static_cast<MemberType*>(member)->emplace_back(); };
        info.clear = [](void* member) { static_cast<MemberType*>(member)->clear(); };
    } else {
        info.count = [](const void*) -> std::size_t { return 1; };
        info.item = [](void* member, std::size_t) -> void* { return member; };
        info.append = [](void* member) -> void* { return member; };
        info.clear = [](void* member) { *static_cast<MemberType*>(member) = MemberType{}; };
    }
    describe_detail::fill_scalar<Item>(info);
    return info;
}

template <class T, class... Fields>
TypeInfo object(std::string_view name, std::string_view doc, Fields... fields) {
    return TypeInfo{name, doc, std::vector<FieldInfo>{std::move(fields)...}, {}, {}, {}};
}

struct TableNames {
    std::string_view table;
    std::string_view vo_type = {};
    std::string_view schema_class = {};
};

template <class T, class... Fields>
TypeInfo row(TableNames names, std::string_view name, std::string_view doc, Fields... fields) {
    return TypeInfo{name, doc, std::vector<FieldInfo>{std::move(fields)...}, names.table, names.vo_type, names.schema_class};
}

}  // namespace ramet
