// The pipe through which a VM's state comes, with a dam: as long as it stands, QEMU gets no byte through. QEMU 7.2 reads all of the guest's
// memory once before the first byte of a background snapshot; held back there it does so while the guest runs, and not during the pause.
//
// Thread rules: read() and drain() by one thread; the others by any.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <span>

#include "base/result.hpp"
#include "hypervisor/qemu/fd.hpp"
#include "hypervisor/qemu/stream_splitter.hpp"

namespace ramet::hypervisor {

class StreamPipe final : public ByteSource {
public:
    explicit StreamPipe(std::chrono::milliseconds stall_max) : stall_max_(stall_max) {}
    Result<void> make();
    int read_end() const { return read_end_.get(); }
    int write_end() const { return write_end_.get(); }
    void close_write_end() { write_end_.reset(); }  // when QEMU has its own

    // Fills the pipe to the brim; before QEMU has its end.
    void dam();
    // Whether a thread of that process waits for room in the pipe; no value: this machine does not tell.
    std::optional<bool> holds_back(pid_t process) const;
    void open();  // the reader may begin; repeatable

    // Waits for open(). timeout when nothing comes for `stall_max`, cancelled after abandon().
    Result<std::size_t> read(std::span<std::byte> buffer) override;
    void drain();                              // to the end, whatever it is: see stream_guard.hpp; or as far as read() goes
    void abandon();                            // the reader ends at once, wherever it is
    bool has_ended() const { return ended_; }  // the reader has met the end

private:
    Result<std::size_t> read_some(std::span<std::byte> buffer);
    Fd read_end_, write_end_;
    std::size_t dam_bytes_ = 0;  // what is still to be read before the stream begins
    const std::chrono::milliseconds stall_max_;
    std::atomic<bool> open_{false}, abandoned_{false}, ended_{false};
};

}  // namespace ramet::hypervisor
