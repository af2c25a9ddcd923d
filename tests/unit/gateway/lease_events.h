// SPDX-License-Identifier: Apache-2.0
// Writes down what is told of Leases, as text, and lets a test wait for it.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gateway/lease_client.h"

namespace sallyport::gateway {

class Scribe : public LeaseEvents {
 public:
  void Set(const egress::BlockLease& lease) override {
    {
      std::lock_guard lock(mutex_);
      blocks_[lease.id] = lease;
    }
    Write("+" + egress::NameOf(lease.id) + " " + std::to_string(lease.size) + " " + lease.holder);
  }
  void Set(const egress::AddressLease& lease) override {
    {
      std::lock_guard lock(mutex_);
      addresses_[lease.address] = lease;
    }
    Write("+" + egress::NameOf(lease.address) + " " + lease.holder + " " +
          std::to_string(lease.epoch));
  }
  void RemoveBlock(const egress::BlockId& id, const std::string& uid) override {
    Write("-" + egress::NameOf(id) + (uid.empty() ? " without uid" : ""));
  }
  void RemoveAddress(const net::Address& address, const std::string& uid) override {
    Write("-" + egress::NameOf(address) + (uid.empty() ? " without uid" : ""));
  }
  void Listed() override { Write("listed"); }
  void Done(const egress::BlockAction& action, egress::Outcome outcome,
            const std::optional<egress::BlockLease>& stands, const std::string& error) override {
    {
      std::lock_guard lock(mutex_);
      block_stands_ = stands;
      error_ = error;
    }
    Write("=" + egress::NameOf(action.lease.id) + " " + Name(outcome) + " " +
          (stands ? stands->holder : "nothing"));
  }
  void Done(const egress::AddressAction& action, egress::Outcome outcome,
            const std::optional<egress::AddressLease>& stands, const std::string& error) override {
    {
      std::lock_guard lock(mutex_);
      error_ = error;
    }
    Write("=" + egress::NameOf(action.lease.address) + " " + Name(outcome) + " " +
          (stands ? stands->holder : "nothing"));
  }
  void Problem(const std::string& problem) override { Write("!" + problem); }
  void State(const watch::WatchState&) override {}

  // All until now, and none of it again.
  std::vector<std::string> Take() {
    std::lock_guard lock(mutex_);
    return std::exchange(told_, {});
  }
  // Waits until this was told; that, and what was told before it, is not told again.
  bool Waits(const std::string& line) {
    std::unique_lock lock(mutex_);
    auto told = [&] { return std::find(told_.begin(), told_.end(), line) != told_.end(); };
    if (!changed_.wait_for(lock, std::chrono::seconds(60), told)) return false;
    told_.erase(told_.begin(), std::find(told_.begin(), told_.end(), line) + 1);
    return true;
  }
  egress::BlockLease block(const egress::BlockId& id) {
    std::lock_guard lock(mutex_);
    return blocks_[id];
  }
  egress::AddressLease address(const net::Address& address) {
    std::lock_guard lock(mutex_);
    return addresses_[address];
  }
  std::optional<egress::BlockLease> block_stands() {
    std::lock_guard lock(mutex_);
    return block_stands_;
  }
  std::string error() {
    std::lock_guard lock(mutex_);
    return error_;
  }

 private:
  static std::string Name(egress::Outcome outcome) {
    switch (outcome) {
      case egress::Outcome::kDone:
        return "done";
      case egress::Outcome::kConflict:
        return "conflict";
      default:
        return "failed";
    }
  }
  void Write(std::string line) {
    std::lock_guard lock(mutex_);
    told_.push_back(std::move(line));
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> told_;
  std::map<egress::BlockId, egress::BlockLease> blocks_;
  std::map<net::Address, egress::AddressLease> addresses_;
  std::optional<egress::BlockLease> block_stands_;
  std::string error_;
};

inline egress::BlockLease ABlock(const std::string& holder, uint16_t first = 2048) {
  egress::BlockLease out;
  out.id = {*net::Address::Parse("203.0.113.10"), first};
  out.size = 1024;
  out.holder = holder;
  out.boot_id = "boot-of-" + holder;
  out.renewed = 123456;
  out.renew_time = "2026-01-02T03:04:05.000006Z";
  out.duration = 15 * egress::kMinute;
  out.exhausted_since = "2026-01-02T03:04:04Z";
  return out;
}

inline egress::AddressLease AnAddress(const std::string& holder, uint32_t epoch) {
  egress::AddressLease out;
  out.address = *net::Address::Parse("2001:db8::10");
  out.holder = holder;
  out.epoch = epoch;
  out.renew_time = "2026-01-02T03:04:05.000006Z";
  out.duration = 15 * egress::kSecond;
  return out;
}

}  // namespace sallyport::gateway
