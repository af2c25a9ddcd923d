// SPDX-License-Identifier: Apache-2.0
// The log: standard error, one line an entry, as text or as JSON; times in UTC. For shells only.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace sallyport {

enum class LogLevel { kTrace, kDebug, kInfo, kWarning, kError };
enum class LogFormat { kText, kJson };

// Without it: kInfo, kText. Before other threads start.
void StartLog(LogLevel least, LogFormat format);

// Thread-safe. Control characters in the message are made harmless: it may hold anything.
void Log(LogLevel level, std::string_view message);
// As Log, with more members in a line of JSON: `members` is asked for them there only, and answers
// with the inside of an object, valid and on one line: R"("drop":{"reason":"policy"})".
void LogWith(LogLevel level, std::string_view message, const std::function<std::string()>& members);

inline void LogDebug(std::string_view message) { Log(LogLevel::kDebug, message); }
inline void LogInfo(std::string_view message) { Log(LogLevel::kInfo, message); }
inline void LogWarning(std::string_view message) { Log(LogLevel::kWarning, message); }
inline void LogError(std::string_view message) { Log(LogLevel::kError, message); }

}  // namespace sallyport
