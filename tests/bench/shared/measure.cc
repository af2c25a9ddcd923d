// SPDX-License-Identifier: Apache-2.0
#include "shared/measure.h"

#include <sched.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <stdexcept>
#include <thread>
#include <vector>

#include "shared/spaces.h"

namespace sallyport::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

double Since(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

// /proc/PID/schedstat of each ksoftirqd: its first number is nanoseconds on a processor.
std::vector<std::string> SoftirqThreads() {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::string name;
    std::ifstream(entry.path() / "comm") >> name;
    if (name.starts_with("ksoftirqd/")) paths.push_back(entry.path() / "schedstat");
  }
  return paths;
}

}  // namespace

double BusySeconds() {
  static const std::vector<std::string> ksoftirqd = SoftirqThreads();
  timespec own{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
  double seconds = static_cast<double>(own.tv_sec) + static_cast<double>(own.tv_nsec) * 1e-9;
  for (const std::string& path : ksoftirqd) {
    uint64_t nanoseconds = 0;
    std::ifstream(path) >> nanoseconds;
    seconds += static_cast<double>(nanoseconds) * 1e-9;
  }
  return seconds;
}

void Need(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

UniqueFd Socket(int type) {
  UniqueFd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  Need(static_cast<bool>(fd), "socket");
  return fd;
}

void StayOnOneProcessor() {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<size_t>(sysconf(_SC_NPROCESSORS_ONLN) - 1), &one);
  Need(::sched_setaffinity(0, sizeof one, &one) == 0, "sched_setaffinity");
}

Sample Timed(double seconds, const std::function<double()>& step) {
  Sample s;
  double busy = BusySeconds();
  auto start = SteadyClock::now();
  while ((s.wall_seconds = Since(start)) < seconds) s.units += step();
  s.cpu_seconds = BusySeconds() - busy;
  return s;
}

Sample Measure(const std::string& client_place, const std::string& server_place, const Serve& serve,
               const std::function<Sample()>& work) {
  std::atomic<bool> stop = false;
  std::promise<void> ready;
  std::exception_ptr failure;
  std::thread server([&] {
    try {
      StayOnOneProcessor();
      EnterSpace(server_place);
      serve([&] { ready.set_value(); }, stop);
    } catch (...) {
      failure = std::current_exception();
    }
  });
  Sample sample;
  std::exception_ptr client_failure;
  std::thread client([&] {
    try {
      StayOnOneProcessor();
      EnterSpace(client_place);
      if (ready.get_future().wait_for(std::chrono::seconds(10)) != std::future_status::ready) {
        throw std::runtime_error("the server did not start");
      }
      sample = work();
    } catch (...) {
      client_failure = std::current_exception();
    }
  });
  client.join();
  stop = true;
  server.join();
  if (failure) std::rethrow_exception(failure);
  if (client_failure) std::rethrow_exception(client_failure);
  return sample;
}

}  // namespace sallyport::bench
