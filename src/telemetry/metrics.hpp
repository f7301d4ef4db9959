// The server's counters, as Prometheus reads them. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace ramet::telemetry {

class Metrics {
public:
    Metrics();
    ~Metrics();
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;

    void request_started();
    void request_finished(std::string_view method, int status, double seconds);
    void job_finished(std::string_view api_name, std::string_view state);
    // A value asked for each time the text is made, such as the number of running jobs. `value` is called from any thread.
    void add_gauge(const std::string& name, const std::string& help, std::function<double()> value);

    std::string text() const;  // Prometheus text format 0.0.4

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace ramet::telemetry
