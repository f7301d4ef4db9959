#include "hypervisor/linux/port_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace ramet::hypervisor {

namespace {

constexpr std::size_t kFileBytesMax = 64 * 1024;  // a network with hundreds of DNS servers stays under 16 KiB

std::unexpected<Error> broken(const std::string& doing, const std::string& path) {
    return fail(ErrorCode::internal, "cannot " + doing + " the network state; see the server's log",
                path + ": " + std::generic_category().message(errno));
}

using Lines = std::map<std::string, std::string>;

Lines parse(std::string_view text) {
    Lines lines;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        if (const std::size_t equals = line.find('='); equals != std::string_view::npos) {
            lines.emplace(line.substr(0, equals), line.substr(equals + 1));
        }
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

void put(std::string& text, const std::string& key, const std::string& value) { text += key + "=" + value + "\n"; }

std::vector<std::string> words(const std::string& text) {
    std::vector<std::string> found;
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t end = std::min(text.find(',', at), text.size());
        if (end > at) found.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return found;
}

std::string joined(const std::vector<std::string>& items) {
    std::string text;
    for (const std::string& item : items) text += (text.empty() ? "" : ",") + item;
    return text;
}

NetworkState network_from(Lines lines) {
    NetworkState state;
    state.spec.l3 = L3NetworkId::trusted(lines["l3"]);
    state.spec.l2 = L2NetworkId::trusted(lines["l2"]);
    state.spec.physical_interface = lines["physical_interface"];
    state.spec.gateway = lines["gateway"];
    state.spec.netmask = lines["netmask"];
    state.spec.prefix_length = std::atoll(lines["prefix_length"].c_str());
    state.spec.network_cidr = lines["network_cidr"];
    state.spec.dns = words(lines["dns"]);
    state.spec.dns_domain = lines["dns_domain"];
    state.spec.dhcp = lines["dhcp"] == "1";
    state.bridge = lines["bridge"];
    state.foreign = lines["foreign"] == "1";
    return state;
}

PortState port_from(Lines lines) {
    PortState state;
    state.port.nic = NicId::trusted(lines["nic"]);
    state.port.l3 = L3NetworkId::trusted(lines["l3"]);
    state.port.tap = lines["tap"];
    state.port.mac = lines["mac"];
    state.port.ip = lines["ip"];
    state.port.host_name = lines["host_name"];
    state.port.enabled = lines["enabled"] == "1";
    state.port.sent_bits_max = std::atoll(lines["sent_bits_max"].c_str());
    state.port.received_bits_max = std::atoll(lines["received_bits_max"].c_str());
    state.port.queues = std::max(std::atoll(lines["queues"].c_str()), 1LL);
    state.port.default_route = lines["default_route"] != "0";
    state.bridge = lines["bridge"];
    return state;
}

// Regular files of a folder; names that begin with a dot are half-made ones.
Result<std::vector<std::string>> files_of(const std::string& folder) {
    std::vector<std::string> paths;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
        if (entry->path().filename().native().front() != '.') paths.push_back(entry->path().native());
    }
    if (error && error != std::errc::no_such_file_or_directory) {
        return fail(ErrorCode::internal, "cannot read the network state; see the server's log", folder + ": " + error.message());
    }
    std::sort(paths.begin(), paths.end());
    return paths;
}

template <class State>
Result<std::vector<State>> all_of(const std::string& folder, State (*from)(Lines)) {
    TRY_ASSIGN(const std::vector<std::string> paths, files_of(folder));
    std::vector<State> states;
    for (const std::string& path : paths) {
        TRY_ASSIGN(const std::optional<std::string> text, read_file(path));
        if (text) states.push_back(from(parse(*text)));
    }
    return states;
}

}  // namespace

Result<void> write_file(const std::string& path, const std::string& text) {
    const std::size_t slash = path.rfind('/');
    // A leading dot: dnsmasq, which watches some of these folders, passes over such names.
    const std::string partial = path.substr(0, slash + 1) + "." + path.substr(slash + 1) + ".partial";
    const int fd = ::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) return broken("write", partial);
    std::string_view left = text;
    while (!left.empty()) {
        const ssize_t written = ::write(fd, left.data(), left.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            const int number = errno;
            ::close(fd);
            ::unlink(partial.c_str());
            errno = number;
            return broken("write", partial);
        }
        left.remove_prefix(static_cast<std::size_t>(written));
    }
    ::fchmod(fd, 0644);  // whatever the umask: dnsmasq reads as another user
    ::close(fd);
    if (::rename(partial.c_str(), path.c_str()) < 0) return broken("write", path);
    return {};
}

Result<std::optional<std::string>> read_file(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) return std::optional<std::string>{};
    if (fd < 0) return broken("read", path);
    std::string text(kFileBytesMax, '\0');
    std::size_t size = 0;
    while (size < text.size()) {
        const ssize_t got = ::read(fd, text.data() + size, text.size() - size);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        size += static_cast<std::size_t>(got);
    }
    ::close(fd);
    text.resize(size);
    return std::optional<std::string>{std::move(text)};
}

Result<void> remove_file(const std::string& path) {
    if (::unlink(path.c_str()) < 0 && errno != ENOENT && errno != ENOTDIR) return broken("remove", path);
    return {};
}

Result<void> make_folder(const std::string& path, unsigned mode) {
    if (::mkdir(path.c_str(), mode) < 0 && errno != EEXIST) return broken("make a folder of", path);
    if (::chmod(path.c_str(), mode) < 0) return broken("make a folder of", path);
    return {};
}

PortFiles::PortFiles(std::string root) : root_(std::move(root)) {}

Result<void> PortFiles::prepare() {
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path(root_).parent_path(), error);
    // dnsmasq must pass through; it may list nothing but its own hosts folder.
    TRY(make_folder(root_, 0711));
    TRY(make_folder(root_ + "/networks", 0700));
    TRY(make_folder(root_ + "/ports", 0700));
    return make_folder(root_ + "/bridges", 0711);
}

Result<void> PortFiles::save(const NetworkState& network) {
    const NetworkSpec& spec = network.spec;
    std::string text;
    put(text, "l3", spec.l3.text());
    put(text, "l2", spec.l2.text());
    put(text, "physical_interface", spec.physical_interface);
    put(text, "gateway", spec.gateway);
    put(text, "netmask", spec.netmask);
    put(text, "prefix_length", std::to_string(spec.prefix_length));
    put(text, "network_cidr", spec.network_cidr);
    put(text, "dns", joined(spec.dns));
    put(text, "dns_domain", spec.dns_domain);
    put(text, "dhcp", spec.dhcp ? "1" : "0");
    put(text, "bridge", network.bridge);
    put(text, "foreign", network.foreign ? "1" : "0");
    return write_file(root_ + "/networks/" + spec.l3.text(), text);
}

Result<void> PortFiles::save(const PortState& state) {
    const PortSpec& port = state.port;
    std::string text;
    put(text, "nic", port.nic.text());
    put(text, "l3", port.l3.text());
    put(text, "tap", port.tap);
    put(text, "mac", port.mac);
    put(text, "ip", port.ip);
    put(text, "host_name", port.host_name);
    put(text, "enabled", port.enabled ? "1" : "0");
    put(text, "sent_bits_max", std::to_string(port.sent_bits_max));
    put(text, "received_bits_max", std::to_string(port.received_bits_max));
    put(text, "queues", std::to_string(port.queues));
    put(text, "default_route", port.default_route ? "1" : "0");
    put(text, "bridge", state.bridge);
    return write_file(root_ + "/ports/" + port.tap, text);
}

Result<std::optional<NetworkState>> PortFiles::network(const std::string& l3) const {
    TRY_ASSIGN(const std::optional<std::string> text, read_file(root_ + "/networks/" + l3));
    if (!text) return std::optional<NetworkState>{};
    return std::optional<NetworkState>{network_from(parse(*text))};
}

Result<std::optional<PortState>> PortFiles::port(const std::string& tap) const {
    TRY_ASSIGN(const std::optional<std::string> text, read_file(root_ + "/ports/" + tap));
    if (!text) return std::optional<PortState>{};
    return std::optional<PortState>{port_from(parse(*text))};
}

Result<std::vector<NetworkState>> PortFiles::networks() const { return all_of<NetworkState>(root_ + "/networks", network_from); }
Result<std::vector<PortState>> PortFiles::ports() const { return all_of<PortState>(root_ + "/ports", port_from); }
Result<void> PortFiles::forget_network(const std::string& l3) { return remove_file(root_ + "/networks/" + l3); }
Result<void> PortFiles::forget_port(const std::string& tap) { return remove_file(root_ + "/ports/" + tap); }

}  // namespace ramet::hypervisor
