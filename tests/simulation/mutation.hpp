// What a generated mutant puts into the seam. Each part is called in the midst of a call, with the thread at work going on alone.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.hpp"
#include "hypervisor/hypervisor.hpp"
#include "store/database.hpp"

namespace ramet::sim {

struct Call;

struct Mutation {
    struct OfStatements {
        // Does the statement, rightly or not, and answers.
        std::function<Result<std::int64_t>(store::Transaction&, std::string_view sql, const store::Values& parameters)> statement{};
        std::function<bool()> rolls_back{};  // the transaction that was just done; it is answered as committed
    };
    // Its effect, which may have been left out.
    std::function<void(const Call&, std::uint64_t number, bool succeeded)> after{};
    std::function<void(const char* name)> passage{};  // of a crash point
    // Asked by the thread that writes; the statements are done by another.
    std::function<OfStatements()> statements{};
};

// Another answer than the one that was found. Answers that are no more than numbers for people stay as they are.
template <class Value>
void falsify(Result<Value>& answer) {
    if constexpr (!std::is_void_v<Value>) {
        if (!answer.has_value()) return;
        if constexpr (std::is_same_v<Value, bool>) *answer = !*answer;
        if constexpr (std::is_same_v<Value, hypervisor::DomainState>)
            *answer = *answer == hypervisor::DomainState::running ? hypervisor::DomainState::shut_off : hypervisor::DomainState::running;
        if constexpr (requires { answer->clear(); }) answer->clear();
    }
}

}  // namespace ramet::sim
