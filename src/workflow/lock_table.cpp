#include "workflow/lock_table.hpp"

#include <algorithm>
#include <utility>

namespace ramet::workflow {

struct LockTable::Request {
    std::vector<std::string> names;
    std::function<void()> wake;
    std::condition_variable_any turn;
};

LockTable::Held::Held(Held&& other) noexcept : table_(std::exchange(other.table_, nullptr)), request_(std::move(other.request_)) {}

LockTable::Held& LockTable::Held::operator=(Held&& other) noexcept {
    if (this != &other) {
        release();
        table_ = std::exchange(other.table_, nullptr);
        request_ = std::move(other.request_);
    }
    return *this;
}

LockTable::Held::~Held() { release(); }

void LockTable::Held::release() {
    if (table_ == nullptr) return;
    const std::lock_guard lock(table_->mutex_);
    table_->leave(*request_);
    table_ = nullptr;
}

bool LockTable::Held::granted() const {
    if (table_ == nullptr) return true;
    const std::lock_guard lock(table_->mutex_);
    return table_->granted(*request_);
}

std::shared_ptr<LockTable::Request> LockTable::enter(std::vector<std::string> names, std::function<void()> wake) {
    std::erase_if(names, [](const std::string& name) { return name.empty(); });
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    auto request = std::make_shared<Request>();
    request->names = std::move(names);
    request->wake = std::move(wake);
    for (const std::string& name : request->names) queues_[name].push_back(request.get());
    return request;
}

LockTable::Held LockTable::request(std::vector<std::string> names, std::function<void()> wake) {
    const std::lock_guard lock(mutex_);
    return Held{this, enter(std::move(names), std::move(wake))};
}

Result<LockTable::Held> LockTable::acquire(std::vector<std::string> names, std::stop_token stop) {
    std::unique_lock lock(mutex_);
    const std::shared_ptr<Request> request = enter(std::move(names), {});
    ++waiting_;
    const bool mine = request->turn.wait(lock, std::move(stop), [&] { return granted(*request); });
    --waiting_;
    if (!mine) {
        leave(*request);
        return fail(ErrorCode::cancelled, "cancelled while waiting for a resource that another job uses");
    }
    return Held{this, request};
}

std::size_t LockTable::waiting() const {
    const std::lock_guard lock(mutex_);
    return waiting_;
}

bool LockTable::wanted(const std::vector<std::string>& names) const {
    const std::lock_guard lock(mutex_);
    return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
        const auto queue = queues_.find(name);
        return queue != queues_.end() && queue->second.size() > 1;
    });
}

bool LockTable::granted(const Request& request) const {
    return std::all_of(request.names.begin(), request.names.end(), [&](const std::string& name) { return queues_.at(name).front() == &request; });
}

void LockTable::leave(Request& request) {
    for (const std::string& name : request.names) {
        const auto queue = queues_.find(name);
        std::erase(queue->second, &request);
        if (queue->second.empty()) {
            queues_.erase(queue);
            continue;
        }
        Request& next = *queue->second.front();
        next.turn.notify_all();
        if (next.wake && granted(next)) next.wake();
    }
}

}  // namespace ramet::workflow
