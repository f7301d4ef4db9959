#include "hypervisor/qemu/templates.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <iterator>
#include <vector>

#include "base/patience.hpp"
#include "hypervisor/machine_identity.hpp"
#include "hypervisor/qemu/command_line.hpp"
#include "hypervisor/qemu/disk_files.hpp"
#include "hypervisor/qemu/files_message.hpp"
#include "hypervisor/qemu/fork_server_protocol.hpp"
#include "hypervisor/qemu/machine.hpp"
#include "telemetry/log.hpp"

namespace ramet::hypervisor {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

constexpr auto kTemplateIdle = 10s;
constexpr auto kForkEndPatience = 1s;
constexpr auto kTemplatePatience = 60s;  // for another VM that makes the template
constexpr auto kForkPatience = 10s;      // a fork takes some milliseconds

std::unexpected<Error> not_forked(std::string why) { return fail(ErrorCode::not_found, "The VM's process is no fork of a template", std::move(why)); }

std::unexpected<Error> call_failed(const std::string& what) { return not_forked(what + ": " + std::strerror(errno)); }

std::string fork_error_text(int error) {
    switch (error) {
    case kForkOtherUuid: return "the machine's uuid is not where it was looked for";
    case kForkOtherGeneration: return "the VM generation id is not where it was looked for";
    case kForkOtherMac: return "a NIC's MAC is not where it was looked for";
    default: return std::strerror(error);
    }
}

// The hexadecimal digits of `text`, whatever stands between them.
template <std::size_t kSize>
void put_bytes(std::string text, unsigned char (&bytes)[kSize]) {
    std::erase_if(text, [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) == 0; });
    for (std::size_t i = 0; i < kSize && 2 * i < text.size(); ++i) std::from_chars(text.data() + 2 * i, text.data() + 2 * i + 2, bytes[i], 16);
}

template <std::size_t kSize>
void put_text(const std::string& text, char (&place)[kSize]) {
    std::memcpy(place, text.data(), std::min(text.size(), kSize - 1));
}

// A file in memory that QEMU may read, with the seed in it.
Result<Fd> seed_in_memory(const std::string& seed_image) {
    TRY_ASSIGN(const Fd image, open_seed(seed_image));
    std::vector<char> content(static_cast<std::size_t>(limits::kSeedBytes) + 1);
    const Fd file(::memfd_create("seed", MFD_CLOEXEC));
    const ssize_t size = ::pread(image.get(), content.data(), content.size(), 0);
    if (!file.valid() || size != limits::kSeedBytes || ::write(file.get(), content.data(), static_cast<std::size_t>(size)) != size)
        return call_failed("seed");
    Fd read_only(::open(("/proc/self/fd/" + std::to_string(file.get())).c_str(), O_RDONLY | O_CLOEXEC));
    if (!read_only.valid()) return call_failed("open");
    return read_only;
}

// not_found: no process can come of the order any more. timeout or cancelled: one still may.
Result<pid_t> forked_pid(int fd, Deadline deadline) {
    pollfd waited{fd, POLLIN, 0};
    while (true) {
        const int ready = ::poll(&waited, 1, static_cast<int>(kPatienceLook.count()));
        if (ready > 0) break;
        if (steady_clock::now() > deadline) return fail(ErrorCode::timeout, "A template does not answer");
        TRY(still_patient());
    }
    ForkReport report;
    ssize_t count;
    do count = ::read(fd, &report, sizeof report);
    while (count < 0 && errno == EINTR);
    if (count != static_cast<ssize_t>(sizeof report)) return not_forked("the template or the fork ended without a word");
    if (report.error != 0) return not_forked(fork_error_text(report.error));
    return report.pid;
}

// What goes with an order: open until it is sent.
struct Cargo {
    TemplateOrder order;
    std::vector<Fd> files;
};

Result<void> send(int socket, Cargo& cargo) {
    std::vector<int> numbers;
    numbers.reserve(cargo.files.size());
    for (const Fd& file : cargo.files) numbers.push_back(file.get());
    if (numbers.size() > kForkFilesMax) return not_forked("it has too many files");
    cargo.order.files = static_cast<std::uint32_t>(numbers.size());
    errno = send_with_files(socket, {reinterpret_cast<const char*>(&cargo.order), sizeof cargo.order}, numbers);
    if (errno != 0) return call_failed("sendmsg");
    return {};
}

Result<void> add_identity(Cargo& cargo, const ReadyProcess& machine, const DomainSpec& spec) {
    TemplateOrder& order = cargo.order;
    put_bytes(machine.machine.text(), order.old_uuid);
    put_bytes(spec.vm.text(), order.uuid);
    put_bytes(generation_id(machine.machine), order.old_generation);
    put_bytes(generation_id(spec.vm, spec.generation), order.generation);
    if (spec.machine_serial.size() != machine.machine.text().size()) return not_forked("its serial has another length");
    put_text(machine.machine.text(), order.old_serial);
    put_text(spec.machine_serial, order.serial);
    return {};
}

Result<void> add_nics(Cargo& cargo, const ReadyProcess& machine, const DomainSpec& spec) {
    if (machine.nics.size() != spec.nics.size() || spec.nics.size() > kTemplateNicsMax) return not_forked("its NICs are others");
    for (const NicSpec& known : machine.nics) {
        const auto wanted = std::ranges::find(spec.nics, known.device_id, &NicSpec::device_id);
        if (wanted == spec.nics.end() || wanted->tap.empty() || wanted->driver != known.driver || wanted->queues != known.queues)
            return not_forked("its NICs are others");
        TemplateOrder::Nic& nic = cargo.order.nic[cargo.order.nics++];
        put_text(nic_device(known.device_id), nic.device);
        put_text(nic_backend(known.device_id), nic.backend);
        put_text(known.tap, nic.old_tap);
        put_bytes(known.mac, nic.old_mac);
        put_bytes(wanted->mac, nic.mac);
        TRY_ASSIGN(std::vector<Fd> queues, open_tap(wanted->tap, wanted->queues));
        nic.queues = static_cast<std::uint32_t>(queues.size());
        std::ranges::move(queues, std::back_inserter(cargo.files));
    }
    return {};
}

}  // namespace

Templates::Templates(Surroundings& surroundings) : surroundings_(surroundings) {
    thread_ = std::jthread([this](const std::stop_token& stop) { end_idle(stop); });
}

Templates::~Templates() {
    thread_.request_stop();
    changed_.notify_all();
    thread_.join();
    for (auto& [directory, slot] : slots_) {
        if (slot->machine) dismiss(std::move(*slot->machine));
    }
}

void Templates::end_idle(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
        changed_.wait_for(lock, stop, kTemplateIdle / 4, [] { return false; });
        std::vector<std::shared_ptr<Slot>> idle;
        for (auto found = slots_.begin(); found != slots_.end();) {
            const std::unique_lock free(found->second->mutex, std::try_to_lock);
            const bool over = free.owns_lock() && found->second->used + kTemplateIdle < steady_clock::now();
            if (over) idle.push_back(found->second);
            found = over ? slots_.erase(found) : std::next(found);
        }
        lock.unlock();
        for (const std::shared_ptr<Slot>& slot : idle) end(*slot);
        lock.lock();
    }
}

void Templates::forget(const MemoryPlace& place) {
    std::shared_ptr<Slot> slot;
    {
        const std::lock_guard lock(mutex_);
        const auto found = slots_.find(place.directory);
        if (found == slots_.end()) return;
        slot = std::move(found->second);
        slots_.erase(found);
    }
    end(*slot);
}

// Who was given the slot before it was forgotten finds that there is no template.
void Templates::end(Slot& slot) {
    const std::lock_guard lock(slot.mutex);
    slot.refused = true;
    if (slot.machine) dismiss(std::move(*slot.machine));
    slot.machine.reset();
}

std::shared_ptr<Templates::Slot> Templates::slot_of(const MemoryPlace& place) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<Slot>& slot = slots_[place.directory];
    if (!slot) slot = std::make_shared<Slot>();
    slot->used = steady_clock::now();
    return slot;
}

Result<void> Templates::make(Slot& slot, const KeptMemory& memory) {
    if (slot.refused) return not_forked("");
    if (slot.machine && !has_ended(slot.machine->process)) return {};
    if (slot.machine) dismiss(std::move(*slot.machine));
    slot.machine.reset();
    Result<ReadyProcess> made = make_ready(surroundings_, memory, ReadyUse::forks);
    if (!made.has_value() && made.error().code == ErrorCode::cancelled) return std::unexpected<Error>(std::move(made.error()));
    slot.refused = !made.has_value();
    if (slot.refused && made.error().code != ErrorCode::unsupported)
        telemetry::log_warning("{}: no template for the VMs that go on from it: {} ({})", memory.place.directory, made.error().message,
                               made.error().detail);
    if (slot.refused) return not_forked(made.error().message + (made.error().detail.empty() ? "" : ": " + made.error().detail));
    slot.machine = std::move(*made);
    return {};
}

// A template that is silent, or that nobody has the time to wait for, is ended: so its order is not carried out later.
Result<pid_t> Templates::await_fork(Slot& slot, int report, const VmId& vm) {
    Result<pid_t> pid = forked_pid(report, steady_clock::now() + kForkPatience);
    if (pid.has_value()) return pid;
    telemetry::log_warning("VM {}: {} ({}); it and others of its memory start by themselves", vm.text(), pid.error().message, pid.error().detail);
    end(slot);
    if (pid.error().code == ErrorCode::not_found) return pid;
    const Patience tidy = Patience::to_tidy_up();
    Result<pid_t> late = forked_pid(report, steady_clock::now() + kForkEndPatience);
    if (late.has_value()) return late;
    return late.error().code == ErrorCode::not_found && pid.error().code == ErrorCode::timeout ? late : pid;
}

Result<Forked> Templates::fork(const KeptMemory& memory, const DomainSpec& spec, const RunDirectory& directory) {
    const std::shared_ptr<Slot> slot = slot_of(memory.place);
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) return call_failed("socketpair");
    Fd connection(ends[0]), others_connection(ends[1]);
    if (::pipe2(ends, O_CLOEXEC) < 0) return call_failed("pipe2");
    const Fd report(ends[0]);
    Cargo cargo;
    cargo.files.emplace_back(ends[1]);
    cargo.files.emplace_back(::fcntl(directory.fd(), F_DUPFD_CLOEXEC, 3));
    TRY_ASSIGN(Fd log, directory.open_log());
    cargo.files.push_back(std::move(log));
    TRY_ASSIGN(Fd lock, directory.lock());
    cargo.files.push_back(std::move(lock));
    TRY_ASSIGN(Fd listener, directory.listen("qmp.sock", surroundings_.user));
    cargo.files.push_back(std::move(listener));
    cargo.files.push_back(std::move(others_connection));
    if (!spec.seed_image.empty()) {
        TRY_ASSIGN(Fd seed, seed_in_memory(spec.seed_image));
        cargo.files.push_back(std::move(seed));
        cargo.order.has_seed = 1;
    }
    {
        TRY_ASSIGN(const auto one_at_a_time, lock_patiently(slot->mutex, steady_clock::now() + kTemplatePatience));
        TRY(make(*slot, memory));
        const ReadyProcess& machine = *slot->machine;
        if (!stands_on_layers_of(machine, spec) || machine.with_seed == spec.seed_image.empty()) return not_forked("its disks are others");
        TRY(add_identity(cargo, machine, spec));
        TRY(add_nics(cargo, machine, spec));
        const Result<void> sent = send(machine.orders.get(), cargo);
        slot->refused = !sent.has_value();
        TRY(sent);
    }
    cargo.files.clear();  // a template that is gone is then seen
    TRY_ASSIGN(const pid_t pid, await_fork(*slot, report.get(), spec.vm));
    TRY_ASSIGN(Process process, adopt_child(pid));
    return Forked{std::move(process), Qmp::negotiated(std::move(connection))};
}

}  // namespace ramet::hypervisor
