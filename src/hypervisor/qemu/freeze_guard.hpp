// The process that freezes a guest for a capture and thaws it whatever becomes of the server. It alone holds the agent's socket, which serves
// one client at a time; the server orders the thaw over a socket pair, and its death is that socket's end.
//
//   lifeline tied, freeze sent ─► frozen ─► held until: the server's order | its death | kFrozenMax after the freeze ─► thaw, until the agent confirms it
//                       └──────► refused, nonsense, silence (kFreezeBudget) ──────────────────────────────────────────┘
//
// A thaw that is not confirmed is sent again, and SysRq-J ("just thaw it") is pressed on the guest's keyboard. When the server died, a VM that
// it had stopped for the cut is set going.
//
// An agent that hangs while all is frozen can be told nothing, and most guests obey no such key. So the agent is asked for a lifeline before: a shell
// in the guest that waits kLifeline and then does what the key does, as only the guest itself is allowed to. It is ended after the thaw.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <memory>
#include <optional>

#include "base/limits.hpp"
#include "hypervisor/qemu/agent.hpp"
#include "hypervisor/qemu/fd.hpp"

namespace ramet::hypervisor {

inline constexpr char kThawOrder = 't';  // the server's only word

// What the guard says, one JSON object per line, in this order:
//   {"said":"frozen","count":N}  or  {"said":"failed","timeout":BOOL,"why":TEXT,"detail":TEXT}
//   {"said":"thawed","count":N,"ordered":BOOL}  or  {"said":"unthawed"}: not confirmed within kThawPatience; it is tried further
// "ordered" is whether the server asked for the thaw before it was sent.
class FreezeGuard {
public:
    struct Times {
        std::chrono::milliseconds freeze = limits::kFreezeBudget;
        std::chrono::milliseconds frozen_max = limits::kFrozenMax;
        std::chrono::milliseconds thaw_patience = limits::kThawPatience;
        std::chrono::milliseconds thaw_tried_for = limits::kThawTriedFor;
        std::chrono::seconds lifeline = limits::kLifeline;
    };
    // `agent` is in step; `directory` is the VM's run directory. Blocking, single-threaded: a process of its own runs it.
    FreezeGuard(Fd server, Fd agent, Fd directory, Times times);
    void run();

private:
    Result<std::int64_t> freeze(Deadline deadline);
    Result<void> tie_lifeline(Deadline deadline);  // success also where the guest has none to give
    void cut_lifeline();
    Result<boost::json::value> ask(const std::string& command, boost::json::object arguments, Deadline deadline);  // while listening to the server
    void hold(Deadline deadline);
    void thaw();
    Result<std::int64_t> thaw_once();
    void listen(Deadline deadline, bool to_agent);  // until the server's word or end, or, if asked, a byte of the agent's
    bool agent_gone() const;                        // QEMU closed the socket: there is no guest any more
    void say(const boost::json::object& what);
    Result<void> ask_qemu(const char* command, boost::json::object arguments);
    void resume_if_stopped();
    void press_thaw_keys();

    Fd server_, directory_;
    std::unique_ptr<Agent> agent_;
    Times times_;
    std::int64_t lifeline_ = 0;  // its pid in the guest; 0: none
    bool ordered_ = false;       // the server has asked for the thaw
    bool server_died_ = false;   // without having asked
};

}  // namespace ramet::hypervisor
