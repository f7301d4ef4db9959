#include "resources/global_configs.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/limits.hpp"
#include "resources/use_case.hpp"

namespace ramet::resources {
namespace {

enum class Form : std::uint8_t { deletion_policy, boolean, seconds, count, data_volumes, ratio, ratio_or_none };

struct KnownConfig {
    std::string_view category, name, default_value;
    Form form;
    std::string_view description;
};

constexpr std::array<KnownConfig, 17> kKnown{{
    {"vm", "deletionPolicy", "Delay", Form::deletion_policy,
     "What destroying a VM instance does: Direct removes it at once, Delay keeps it for expungePeriod, Never keeps it until it is expunged by hand."},
    {"vm", "expungePeriod", "604800", Form::seconds, "How long a destroyed VM instance can be recovered, in seconds."},
    {"vm", "expungeInterval", "3600", Form::seconds, "How often expired VM instances and data volumes are looked for, in seconds."},
    {"vm", "leaseWarning", "300", Form::seconds,
     "How long before the end of a VM instance's lease its owner is warned, in seconds; of a shorter lease at once."},
    {"garbage", "lookInterval", "600", Form::seconds, "How often files, processes and network devices that nobody owns are looked for, in seconds."},
    {"garbage", "secondLook", "30", Form::seconds, "How long such a thing must have been seen before it is put aside, in seconds."},
    {"garbage", "gracePeriod", "86400", Form::seconds, "How long it stays put aside before it is removed, in seconds."},
    {"vm", "uniqueVmName", "false", Form::boolean, "Whether no two VM instances may have the same name."},
    {"volume", "expungePeriod", "259200", Form::seconds, "How long a deleted data volume can be recovered, in seconds."},
    {"volume", "backgroundMerge", "true", Form::boolean, "Whether long chains of layers are merged in the background."},
    {"image", "expungePeriod", "259200", Form::seconds, "How long a deleted image can be recovered, in seconds."},
    {"kvm", "dataVolume.maxNum", "24", Form::data_volumes, "How many data volumes a VM instance may have."},
    {"host", "cpu.overProvisioning.ratio", "10", Form::ratio, "How many virtual CPUs a host may give away for each CPU it has."},
    {"mevoco", "overProvisioning.memory", "1", Form::ratio,
     "How many bytes of memory a host may give away for each that it has; more than 1 relies on guests that leave some unused or share it."},
    {"mevoco", "overProvisioning.primaryStorage", "0", Form::ratio_or_none,
     "How many bytes of virtual disks a primary storage may promise for each that it has; 0: as many as are asked for, since disks are thin and "
     "clones share them. What is written at once has to fit in any case."},
    {"identity", "session.timeout", "7200", Form::seconds, "How long an unused session stays valid, in seconds."},
    {"identity", "session.maxConcurrent", "500", Form::count, "How many sessions an account may have at once."},
}};

constexpr std::int64_t kSecondsMax = 10LL * 365 * 24 * 3600;
constexpr std::int64_t kCountMax = 100'000;
constexpr double kRatioMax = 1000;

std::string key_of(std::string_view category, std::string_view name) { return std::string(category) + "." + std::string(name); }

std::int64_t most_of(Form form) {
    if (form == Form::seconds) return kSecondsMax;
    return form == Form::data_volumes ? limits::kDataVolumesPerVmMax : kCountMax;
}

const KnownConfig* find_known(std::string_view category, std::string_view name) {
    for (const KnownConfig& known : kKnown)
        if (known.category == category && known.name == name) return &known;
    return nullptr;
}

GlobalConfig default_row(const KnownConfig& known) {
    GlobalConfig row;
    row.uuid = key_of(known.category, known.name);
    row.category = known.category;
    row.name = known.name;
    row.description = known.description;
    row.default_value = row.value = known.default_value;
    return row;
}

std::optional<std::int64_t> parse_number(std::string_view text) {
    std::int64_t number = 0;
    const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || stopped != text.data() + text.size()) return std::nullopt;
    return number;
}

std::optional<double> parse_ratio(std::string_view text) {
    double ratio = 0;
    const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), ratio, std::chars_format::fixed);
    if (error != std::errc{} || stopped != text.data() + text.size() || !std::isfinite(ratio)) return std::nullopt;
    return ratio;
}

// What hosts may give away follows at once; what was given away already stays.
Result<void> apply_cpu_ratio(store::Transaction& transaction) {
    TRY_ASSIGN(const std::vector<Host> hosts, store::list<Host>(transaction));
    for (Host host : hosts) {
        TRY_ASSIGN(host.total_cpu_capacity, cpu_capacity(transaction, host.cpu_num));
        TRY(store::update(transaction, host));
    }
    return {};
}

Result<void> check_value(const KnownConfig& known, std::string_view value) {
    const auto refuse = [&](const std::string& must) {
        return fail(ErrorCode::invalid_argument,
                    "value: '" + std::string(value.substr(0, 64)) + "' cannot be " + key_of(known.category, known.name) + "; it must be " + must);
    };
    switch (known.form) {
    case Form::deletion_policy:
        if (value != "Direct" && value != "Delay" && value != "Never") return refuse("Direct, Delay or Never");
        return {};
    case Form::boolean:
        if (value != "true" && value != "false") return refuse("true or false");
        return {};
    case Form::seconds:
    case Form::count:
    case Form::data_volumes: {
        const std::optional<std::int64_t> number = parse_number(value);
        const std::int64_t most = most_of(known.form);
        if (!number || *number < 1 || *number > most) return refuse("a number from 1 to " + std::to_string(most));
        return {};
    }
    case Form::ratio_or_none: {
        const std::optional<double> ratio = parse_ratio(value);
        if (!ratio || (*ratio != 0 && (*ratio < 1 || *ratio > kRatioMax))) return refuse("a number from 1 to 1000, such as 1.5, or 0 for no bound");
        return {};
    }
    case Form::ratio: {
        const std::optional<double> ratio = parse_ratio(value);
        if (!ratio || *ratio < 1 || *ratio > kRatioMax) return refuse("a number from 1 to 1000, such as 1.5");
        return {};
    }
    }
    return {};
}

}  // namespace

Result<void> seed_global_configs(store::Transaction& transaction) {
    for (const KnownConfig& known : kKnown) {
        TRY_ASSIGN(const std::int64_t present, store::count<GlobalConfig>(transaction, {{"uuid", key_of(known.category, known.name)}}));
        if (present == 0) TRY(store::insert(transaction, default_row(known)));
    }
    return {};
}

Result<std::string> global_config(store::Transaction& transaction, std::string_view category, std::string_view name) {
    const KnownConfig* const known = find_known(category, name);
    if (known == nullptr)
        return fail(ErrorCode::internal, "the server asked for a setting that does not exist; this is a fault of the server", key_of(category, name));
    TRY_ASSIGN(const std::optional<GlobalConfig> row, store::find<GlobalConfig>(transaction, {{"uuid", key_of(category, name)}}));
    return row ? row->value : std::string(known->default_value);
}

Result<std::int64_t> global_config_number(store::Transaction& transaction, std::string_view category, std::string_view name) {
    TRY_ASSIGN(const std::string value, global_config(transaction, category, name));
    const std::optional<std::int64_t> number = parse_number(value);
    if (!number) return fail(ErrorCode::internal, "a setting is not a number; set it again", key_of(category, name) + " = " + value);
    return *number;
}

Result<double> global_config_ratio(store::Transaction& transaction, std::string_view category, std::string_view name) {
    TRY_ASSIGN(const std::string value, global_config(transaction, category, name));
    const std::optional<double> ratio = parse_ratio(value);
    if (!ratio) return fail(ErrorCode::internal, "a setting is not a number; set it again", key_of(category, name) + " = " + value);
    return *ratio;
}

Result<std::int64_t> cpu_capacity(store::Transaction& transaction, std::int64_t cpus) {
    TRY_ASSIGN(const double ratio, global_config_ratio(transaction, "host", "cpu.overProvisioning.ratio"));
    return static_cast<std::int64_t>(static_cast<double>(cpus) * ratio);
}

Result<double> memory_ratio(store::Transaction& transaction) { return global_config_ratio(transaction, "mevoco", "overProvisioning.memory"); }

Result<double> storage_ratio(store::Transaction& transaction) {
    return global_config_ratio(transaction, "mevoco", "overProvisioning.primaryStorage");
}

Result<std::int64_t> data_volumes_max(store::Transaction& transaction) {
    TRY_ASSIGN(const std::int64_t wanted, global_config_number(transaction, "kvm", "dataVolume.maxNum"));
    return std::min(wanted, limits::kDataVolumesPerVmMax);
}

Result<std::string> update_global_config(Parts& parts, const identity::Caller&, const api::UpdateGlobalConfig& request) {
    const KnownConfig* const known = find_known(request.category, request.name);
    if (known == nullptr) {
        return fail(ErrorCode::not_found, "there is no global setting '" + key_of(request.category, request.name).substr(0, 128) +
                                              "'; GET /global-configurations lists them");
    }
    const std::string value = request.value.value_or(std::string(known->default_value));
    TRY(check_value(*known, value));
    const std::string key = key_of(request.category, request.name);
    const auto work = [&](store::Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(std::optional<GlobalConfig> row, store::find<GlobalConfig>(transaction, {{"uuid", key}}));
        GlobalConfig changed = row ? std::move(*row) : default_row(*known);
        changed.value = value;
        TRY(row ? store::update(transaction, changed) : store::insert(transaction, changed));
        return key == "host.cpu.overProvisioning.ratio" ? apply_cpu_ratio(transaction) : Result<void>();
    };
    TRY(parts.database.write(work));
    return parts.inventory.reply<GlobalConfig>(key);
}

}  // namespace ramet::resources
