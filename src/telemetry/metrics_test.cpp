#include "telemetry/metrics.hpp"

#include <gtest/gtest.h>

namespace ramet::telemetry {

TEST(Metrics, CountsRequestsJobsAndGauges) {
    Metrics metrics;
    metrics.add_gauge("ramet_jobs_running", "Jobs that run.", [] { return 3.0; });
    metrics.request_started();
    metrics.request_started();
    metrics.request_finished("GET", 200, 0.01);
    metrics.job_finished("CloneVmInstance", "Succeeded");
    const std::string text = metrics.text();
    for (const char* line : {"ramet_http_requests_total{method=\"GET\",status=\"200\"} 1", "ramet_http_requests_in_flight 1", "ramet_jobs_running 3",
                             "ramet_jobs_finished_total{api=\"CloneVmInstance\",state=\"Succeeded\"} 1"}) {
        EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
    }
}

TEST(Metrics, AMadeUpMethodIsNoLabel) {
    Metrics metrics;
    metrics.request_started();
    metrics.request_finished("EVIL", 405, 0);
    EXPECT_EQ(metrics.text().find("EVIL"), std::string::npos);
    EXPECT_NE(metrics.text().find("method=\"other\""), std::string::npos);
}

}  // namespace ramet::telemetry
