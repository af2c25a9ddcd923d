// SPDX-License-Identifier: Apache-2.0
// Images that the lab knows by name: the real server of this machine, started as the image's
// entrypoint would. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::lab {

struct KnownImage {
  std::string_view name;     // last part of the image's name, without registry and tag
  std::string_view program;  // what must be on this machine
  uint16_t port;             // where it listens unless told otherwise
  std::string_view package;  // the Debian package that has it
  std::string_view script;   // run by /bin/sh -e with the container's args
};

// "docker.io/library/redis:7-alpine" -> "redis"
std::string ImageName(std::string_view image);
// nullptr where the image is none of the known.
const KnownImage* FindImage(std::string_view image);
// True for images whose command is not tried: they only ever serve ports (agnhost, pause).
bool IsStandInImage(std::string_view image);

std::vector<std::string> ImageArgv(const KnownImage& image, const std::vector<std::string>& args);

}  // namespace sallyport::lab
