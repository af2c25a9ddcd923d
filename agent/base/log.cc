// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>

namespace sallyport {
namespace {

// As the inside of a JSON string. Names in it come from packets and files.
std::string Escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      char escaped[8];
      snprintf(escaped, sizeof(escaped), "\\u%04x", byte);
      out += escaped;
    } else {
      out += c;
    }
  }
  return out;
}

// A line of text stays a line, whatever the message holds.
std::string OneLine(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  return out;
}

spdlog::level::level_enum LevelOf(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return spdlog::level::trace;
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

struct Logger {
  std::shared_ptr<spdlog::logger> sink;
  LogFormat format;
};

Logger MakeLogger(LogLevel least, LogFormat format) {
  // What follows the time and level is made by LogWith.
  const char* pattern = format == LogFormat::kJson
                            ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                            : "%Y-%m-%dT%H:%M:%S.%eZ %l: %v";
  auto logger = std::make_shared<spdlog::logger>("sallyport",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern(pattern, spdlog::pattern_time_type::utc);
  logger->set_level(LevelOf(least));
  return {std::move(logger), format};
}

Logger& TheLogger() {
  static Logger logger = MakeLogger(LogLevel::kInfo, LogFormat::kText);
  return logger;
}

}  // namespace

void StartLog(LogLevel least, LogFormat format) { TheLogger() = MakeLogger(least, format); }

void Log(LogLevel level, std::string_view message) { LogWith(level, message, {}); }

void LogWith(LogLevel level, std::string_view message,
             const std::function<std::string()>& members) {
  const Logger& logger = TheLogger();
  if (!logger.sink->should_log(LevelOf(level))) return;
  std::string line;
  if (logger.format == LogFormat::kText) {
    line = OneLine(message);
  } else {
    line = "\"message\":\"" + Escaped(message) + "\"";
    if (members) line += "," + members();
  }
  logger.sink->log(LevelOf(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace sallyport
