#include "telemetry/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <mutex>
#include <utility>
#include <vector>

namespace ramet::telemetry {

struct Metrics::Impl {
    prometheus::Registry registry;
    prometheus::Family<prometheus::Counter>& requests =
        prometheus::BuildCounter().Name("ramet_http_requests_total").Help("HTTP requests answered, by method and status.").Register(registry);
    prometheus::Gauge& in_flight = prometheus::BuildGauge()
                                       .Name("ramet_http_requests_in_flight")
                                       .Help("HTTP requests begun and not yet answered, held ones included.")
                                       .Register(registry)
                                       .Add({});
    prometheus::Histogram& seconds = prometheus::BuildHistogram()
                                         .Name("ramet_http_request_seconds")
                                         .Help("Time to answer, held requests included.")
                                         .Register(registry)
                                         .Add({}, prometheus::Histogram::BucketBoundaries{0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60});
    prometheus::Family<prometheus::Counter>& jobs =
        prometheus::BuildCounter().Name("ramet_jobs_finished_total").Help("Jobs that ended, by call and state.").Register(registry);
    std::mutex mutex;
    std::vector<std::pair<prometheus::Gauge*, std::function<double()>>> gauges;
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

void Metrics::request_started() { impl_->in_flight.Increment(); }

void Metrics::request_finished(std::string_view method, int status, double seconds) {
    impl_->in_flight.Decrement();
    impl_->seconds.Observe(seconds);
    bool known = false;  // a label per made-up method would grow without bound
    for (const std::string_view name : {"GET", "POST", "PUT", "DELETE", "HEAD"}) known = known || name == method;
    impl_->requests.Add({{"method", known ? std::string(method) : "other"}, {"status", std::to_string(status)}}).Increment();
}

void Metrics::job_finished(std::string_view api_name, std::string_view state) {
    impl_->jobs.Add({{"api", std::string(api_name)}, {"state", std::string(state)}}).Increment();
}

void Metrics::add_gauge(const std::string& name, const std::string& help, std::function<double()> value) {
    prometheus::Gauge& gauge = prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry).Add({});
    const std::lock_guard lock(impl_->mutex);
    impl_->gauges.emplace_back(&gauge, std::move(value));
}

std::string Metrics::text() const {
    {
        const std::lock_guard lock(impl_->mutex);
        for (const auto& [gauge, value] : impl_->gauges) gauge->Set(value());
    }
    return prometheus::TextSerializer().Serialize(impl_->registry.Collect());
}

}  // namespace ramet::telemetry
