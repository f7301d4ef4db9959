// A guest agent that the test writes: answers each command as told, keeps what it heard and when. Also a QMP monitor that only listens.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <boost/json/serialize.hpp>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "hypervisor/qemu/agent.hpp"
#include "hypervisor/qemu/qmp.hpp"
#include "support/hypervisor_subject.hpp"

namespace ramet::test {

class ScriptedAgent {
public:
    using Clock = std::chrono::steady_clock;
    struct Heard {
        std::string command, arguments;  // JSON
        Clock::time_point at;
    };
    // By command, what is said to it; none: silence. guest-sync-delimited is answered rightly unless it is scripted.
    std::map<std::string, std::function<std::string()>> answers;

    ScriptedAgent() {
        int ends[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        guest_ = hypervisor::Fd(ends[0]);
        host_ = hypervisor::Fd(ends[1]);
        answers["guest-exec"] = [] { return "{\"return\": {\"pid\": 77}}\n"; };
        answers["guest-exec-status"] = [] { return "{\"return\": {\"exited\": true, \"exitcode\": 0}}\n"; };
        answers["guest-fsfreeze-freeze"] = [] { return "{\"return\": 2}\n"; };
        answers["guest-fsfreeze-thaw"] = [] { return "{\"return\": 2}\n"; };
    }
    ~ScriptedAgent() {
        ::shutdown(guest_.get(), SHUT_RDWR);
        if (thread_.joinable()) thread_.join();
    }
    // The host's end; the agent answers from now on.
    hypervisor::Fd begin() {
        thread_ = std::thread([this] { work(); });
        return std::move(host_);
    }
    void hang_up() { ::shutdown(guest_.get(), SHUT_RDWR); }
    std::vector<Heard> heard(const std::string& command) const {
        const std::lock_guard lock(mutex_);
        std::vector<Heard> found;
        for (const Heard& one : heard_) {
            if (one.command == command) found.push_back(one);
        }
        return found;
    }
    bool hears(const std::string& command, std::size_t times = 1) const {
        return eventually([&] { return heard(command).size() >= times; });
    }

private:
    void work() {
        hypervisor::LineReader reader(guest_.get(), 1 << 20);
        while (true) {
            Result<std::string> line = reader.read_line(Clock::now() + std::chrono::seconds(60));
            if (!line.has_value()) return;
            while (!line->empty() && line->front() == '\xff') line->erase(0, 1);
            const Result<boost::json::value> asked = hypervisor::parse_bounded(*line);
            if (!asked.has_value()) continue;
            const std::string command(asked->at("execute").as_string());
            {
                const std::lock_guard lock(mutex_);
                const boost::json::value* const arguments = asked->as_object().if_contains("arguments");
                heard_.push_back({command, arguments != nullptr ? boost::json::serialize(*arguments) : "", Clock::now()});
            }
            std::string answer;
            if (const auto scripted = answers.find(command); scripted != answers.end()) {
                answer = scripted->second();
            } else if (command == "guest-sync-delimited") {
                answer = "\xff{\"return\": " + boost::json::serialize(asked->at("arguments").at("id")) + "}\n";
            }
            if (!answer.empty()) (void)hypervisor::send_all(guest_.get(), answer, -1, Clock::now() + std::chrono::seconds(5));
        }
    }
    hypervisor::Fd guest_, host_;
    mutable std::mutex mutex_;
    std::vector<Heard> heard_;
    std::thread thread_;
};

// Listens as `name` in `directory`, greets, says yes to everything.
class YesMonitor {
public:
    YesMonitor(const std::string& directory, const std::string& name) : listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        const std::string path = directory + "/" + name;
        EXPECT_LT(path.size(), sizeof address.sun_path);
        std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
        EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        ::chmod(path.c_str(), 0777);
        EXPECT_EQ(::listen(listener_.get(), 4), 0);
        thread_ = std::thread([this] { work(); });
    }
    ~YesMonitor() {
        ::shutdown(listener_.get(), SHUT_RDWR);
        thread_.join();
    }
    std::string heard() const {
        const std::lock_guard lock(mutex_);
        return heard_;
    }

private:
    void work() {
        while (true) {
            const hypervisor::Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!client.valid()) return;
            hypervisor::LineReader reader(client.get(), 1 << 16);
            const auto say = [&](const std::string& text) {
                (void)hypervisor::send_all(client.get(), text, -1, std::chrono::steady_clock::now() + std::chrono::seconds(1));
            };
            say("{\"QMP\": {}}\r\n");
            while (true) {
                const Result<std::string> line = reader.read_line(std::chrono::steady_clock::now() + std::chrono::seconds(5));
                const Result<boost::json::value> asked = hypervisor::parse_bounded(line.has_value() ? *line : std::string());
                if (!asked.has_value()) break;
                {
                    const std::lock_guard lock(mutex_);
                    heard_ += *line + "\n";
                }
                say("{\"id\": " + boost::json::serialize(asked->at("id")) + ", \"return\": {}}\r\n");
            }
        }
    }
    hypervisor::Fd listener_;
    mutable std::mutex mutex_;
    std::string heard_;
    std::thread thread_;
};

}  // namespace ramet::test
