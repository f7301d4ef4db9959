#include "telemetry/log.hpp"

#include <gtest/gtest.h>

namespace ramet::telemetry {
namespace {

TEST(Log, WhatOthersSaidCannotBeginALineOfItsOwn) {
    EXPECT_EQ("plain, und Süßes", one_line("plain, und Süßes"));
    EXPECT_EQ("said\\n2026-01-01 info all is well\\x0d\\x1b[2J\\x7f\\x00",
              one_line(std::string("said\n2026-01-01 info all is well\r\x1b[2J\x7f\0", 39)));
}

}  // namespace
}  // namespace ramet::telemetry
