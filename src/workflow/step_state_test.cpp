#include "workflow/step_state.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "workflow/step_error.hpp"

namespace ramet::workflow {
namespace {

TEST(StepState, AllowsExactlyTheLegalMoves) {
    using enum StepStatus;
    struct Move {
        StepStatus from;
        StepEvent event;
        StepStatus to;
    };
    const std::vector<Move> legal{{pending, StepEvent::started, running},      {running, StepEvent::started, running},
                                  {running, StepEvent::finished, done},        {running, StepEvent::run_failed, failed},
                                  {running, StepEvent::undo_started, undoing}, {failed, StepEvent::undo_started, undoing},
                                  {done, StepEvent::undo_started, undoing},    {undoing, StepEvent::undo_started, undoing},
                                  {undoing, StepEvent::undo_finished, undone}, {undoing, StepEvent::undo_failed, stuck}};
    std::size_t found = 0;
    for (int from = 0; from <= static_cast<int>(stuck); ++from) {
        for (int event = 0; event <= static_cast<int>(StepEvent::undo_failed); ++event) {
            const std::optional<StepStatus> to = next(static_cast<StepStatus>(from), static_cast<StepEvent>(event));
            const auto wanted = std::find_if(legal.begin(), legal.end(), [&](const Move& move) {
                return static_cast<int>(move.from) == from && static_cast<int>(move.event) == event;
            });
            ASSERT_EQ(to.has_value(), wanted != legal.end()) << from << " " << event;
            if (!to) continue;
            EXPECT_EQ(*to, wanted->to);
            ++found;
        }
    }
    EXPECT_EQ(found, legal.size());
}

TEST(StepState, NamesRowsByJobBranchAndStep) {
    const JobId job = JobId::derived("00000000000000000000000000000000", "a");
    EXPECT_EQ(step_uuid(job, "web-01", "disk"), job.text() + "/web-01/disk");
    EXPECT_EQ(step_uuid(job, "", "capture"), job.text() + "//capture");
}

TEST(StepError, GivesTheWholeErrorBack) {
    Error inner{ErrorCode::wrong_state, "the VM is \"Stopped\"", "", nullptr, ""};
    Error error{ErrorCode::start_failed, "line\nbreak \\ tab\t umlaut ü", "/var/lib: errno 28\x01", std::make_shared<const Error>(inner), "web-07"};
    const std::optional<Error> back = error_from_text(error_to_text(error));
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(back->code, error.code);
    EXPECT_EQ(back->message, error.message);
    EXPECT_EQ(back->detail, error.detail);
    EXPECT_EQ(back->subject, error.subject);
    ASSERT_NE(back->cause, nullptr);
    EXPECT_EQ(back->cause->code, ErrorCode::wrong_state);
    EXPECT_EQ(back->cause->message, inner.message);
}

TEST(StepError, KeepsEveryCode) {
    for (int code = 0; code <= static_cast<int>(ErrorCode::overloaded); ++code) {
        const std::optional<Error> back = error_from_text(error_to_text(Error{static_cast<ErrorCode>(code), "m", {}, nullptr, {}}));
        ASSERT_TRUE(back.has_value());
        EXPECT_EQ(static_cast<int>(back->code), code);
    }
}

TEST(StepError, RefusesEveryTruncation) {
    const std::string whole = error_to_text(Error{ErrorCode::internal, "a\n", "b", std::make_shared<const Error>(Error{}), "c"});
    for (std::size_t length = 0; length < whole.size(); ++length) EXPECT_FALSE(error_from_text(whole.substr(0, length)).has_value()) << length;
    EXPECT_FALSE(error_from_text(whole + " ").has_value());
    std::string deep;
    for (int i = 0; i < 100'000; ++i) deep += "{\"cause\":";
    EXPECT_FALSE(error_from_text(deep).has_value());
}

}  // namespace
}  // namespace ramet::workflow
