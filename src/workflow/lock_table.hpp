// Exclusive locks by uuid, first come first served. A request takes all its names at once or waits for all; requests queue
// in one order everywhere, so two of them can never wait for each other. Who waits needs no thread: request() calls back.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.hpp"

namespace ramet::workflow {

class LockTable {
    struct Request;

public:
    // Holds the names until destroyed; the table must outlive it.
    class Held {
    public:
        Held() = default;
        Held(Held&& other) noexcept;
        Held& operator=(Held&& other) noexcept;
        Held(const Held&) = delete;
        Held& operator=(const Held&) = delete;
        ~Held();

        // Whether it is this request's turn. Once true it stays so until destroyed.
        bool granted() const;

    private:
        friend class LockTable;
        Held(LockTable* table, std::shared_ptr<Request> request) : table_(table), request_(std::move(request)) {}
        void release();
        LockTable* table_ = nullptr;
        std::shared_ptr<Request> request_;
    };

    // Blocks. ErrorCode::cancelled when `stop` is requested first; nothing is held then. No names: held at once.
    Result<Held> acquire(std::vector<std::string> names, std::stop_token stop);
    // Does not block: takes a place in the queues. Unless granted() at once, `wake` is called when it becomes so, from the thread that lets go;
    // it must not call the table.
    Held request(std::vector<std::string> names, std::function<void()> wake);
    std::size_t waiting() const;
    bool wanted(const std::vector<std::string>& names) const;  // somebody waits for one of these, which the caller holds

private:
    std::shared_ptr<Request> enter(std::vector<std::string> names, std::function<void()> wake);  // under mutex_
    bool granted(const Request& request) const;
    void leave(Request& request);

    mutable std::mutex mutex_;
    std::unordered_map<std::string, std::deque<Request*>> queues_;  // the front of a queue holds the name
    std::size_t waiting_ = 0;
};

}  // namespace ramet::workflow
