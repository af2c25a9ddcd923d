// SPDX-License-Identifier: Apache-2.0
// The objects of one resource as the model has them: what a reflector tells becomes deltas. Pure.
//
// Bad input removes nothing: an object that is not understood keeps its last good version. A
// NetworkPolicy or an EgressGateway that never had one is closed meanwhile (object_decoder.h); any
// other object is absent, which opens nothing (a namespace that is absent may have any labels, once
// all have been listed). Where not even a name could be read in a list, that list removes nothing.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/diagnostic.h"
#include "model/snapshot.h"
#include "watch/reflector.h"

namespace sallyport::watch {

struct ObjectUpdate {
  std::vector<model::Delta> deltas;
  model::Diagnostics standing;  // what is wrong with the objects as they are now
  bool complete = false;        // all of them have been listed, once
};

class ObjectSet : public ObjectSink {
 public:
  using Emit = std::function<void(ObjectUpdate)>;
  // `emit` hears of what changed, at each Flush.
  ObjectSet(model::Kind kind, Emit emit) : kind_(kind), emit_(std::move(emit)) {}

  void BeginList() override;
  void Set(std::string_view object) override;
  void Remove(std::string_view object) override;
  void EndList() override;
  void Flush() override;

 private:
  struct Known {
    std::shared_ptr<const void> object;  // in force; none: it was never understood
    uint32_t seen = 0;                   // in which list
    bool stands_in = false;              // closed, in the stead of one that is not understood
  };

  void TakeGood(model::Delta delta, model::Diagnostics warnings);
  void TakeBad(const model::ObjectName& name, model::Diagnostics errors, std::string_view object);
  void Forget(const model::ObjectName& name);

  const model::Kind kind_;
  const Emit emit_;
  std::map<model::ObjectName, Known> known_;
  std::map<model::ObjectName, model::Diagnostics> troubled_;
  uint32_t list_ = 0;
  bool unreadable_ = false;  // something in the list that runs has no name
  bool changed_ = false;     // something for Flush
  ObjectUpdate update_;
};

}  // namespace sallyport::watch
