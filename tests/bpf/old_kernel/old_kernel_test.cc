// SPDX-License-Identifier: Apache-2.0
// A smoke test on the oldest kernel that a supported Debian has, without tcx and with a verifier
// that understands less: a part of the other tests, as they were built for this machine, in a
// virtual machine without a disk or a network. Its first file system is made here, of the programs,
// the libraries that ldd(1) names, and the kernel package's modules.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/places.h"
#include "support/temporary.h"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;

// What runs in the guest. Each part of a filter must name a test. Without hardware help each load
// of the programs costs seconds: few programs, many packets.
using Programs = std::vector<std::pair<std::string, std::string>>;
const Programs kPrograms = {
    {"bpf_packets",
     "FlowTest.*:PolicyTest.*:IdentityTest.LongestPrefixWins/*:HeadersTest.*:ErrorHeadersTest.*"},
    {"bpf_start", "StartTest.ProgramsAreAttachedInTheWayThatTheKernelHas:GracePeriodTest.*"},
    {"bpf_traffic", "ServiceTest.LiveConnectionsObeyInBothDirections/NftablesClsactIPv4"},
};
// With tools/test --thorough.
const Programs kMorePrograms = {
    {"bpf_upgrade", "Ways/UpgradeTest.OlderTablesStayInForceUntilTheFirstApply/Clsact"},
};
Programs ProgramsToRun() {
  Programs out = kPrograms;
  if (::getenv("SALLYPORT_THOROUGH"))
    out.insert(out.end(), kMorePrograms.begin(), kMorePrograms.end());
  return out;
}
const std::vector<std::string> kCommands = {"sh", "ip", "tc", "nft", "cat", "grep", "sed", "tr"};
const std::vector<std::string> kModules = {
    "veth",   "sch_ingress",         "cls_bpf", "cls_u32", "act_bpf",  "bridge",
    "vxlan",  "nf_tables",           "nft_ct",  "nft_nat", "nft_masq", "nft_chain_nat",
    "nf_nat", "nf_conntrack_netlink"};

constexpr const char* kGetAll = "sudo tools/test 'bpf.old-kernel' gets it";

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string OutputOf(const std::string& command) {
  FILE* pipe = ::popen(command.c_str(), "r");
  if (!pipe) throw std::runtime_error("cannot run " + command);
  std::string out;
  char part[4096];
  for (size_t n = 0; (n = std::fread(part, 1, sizeof part, pipe)) > 0;) out.append(part, n);
  if (::pclose(pipe) != 0) throw std::runtime_error("failed: " + command + "\n" + out);
  return out;
}

// Where the command is; "" if nowhere.
std::string Find(const std::string& command) {
  for (const char* folder : {"/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/"})
    if (fs::exists(folder + command)) return folder + command;
  return "";
}

// A cpio archive ("newc") as the kernel unpacks it.
class Archive {
 public:
  explicit Archive(const std::string& path) : out_(path, std::ios::binary) {}

  void AddFile(const std::string& name, const std::string& content) {
    if (!added_.insert(name).second) return;
    AddFolders(name);
    Add(name, S_IFREG | 0755, content);
  }
  // The program under this name, and the libraries it needs under theirs.
  void AddProgram(const std::string& name, const std::string& path) {
    AddFile(name, ReadFile(path));
    std::istringstream words(OutputOf("ldd " + path));
    for (std::string word; words >> word;)
      if (word.starts_with("/") && word.find(':') == std::string::npos)
        AddFile(word, ReadFile(word));
  }
  void AddFolder(const std::string& name) {
    if (added_.insert(name).second) Add(name, S_IFDIR | 0755, "");
  }
  void End() {
    Add("/TRAILER!!!", 0, "");
    out_.close();
    if (!out_) throw std::runtime_error("cannot write the guest's file system: is the disk full?");
  }

 private:
  void AddFolders(const std::string& name) {
    for (size_t end = name.find('/', 1); end != std::string::npos; end = name.find('/', end + 1))
      AddFolder(name.substr(0, end));
  }
  void Add(const std::string& name, unsigned mode, const std::string& content) {
    char header[111];
    auto size = static_cast<unsigned>(content.size());
    std::snprintf(header, sizeof header,
                  "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", ++inode_, mode, 0u,
                  0u, 1u, 0u, size, 0u, 0u, 0u, 0u, static_cast<unsigned>(name.size()), 0u);
    std::string start = header + name.substr(1) + '\0';
    out_ << start << Padding(start.size()) << content << Padding(content.size());
  }
  static std::string Padding(size_t size) { return std::string(-size % 4, '\0'); }

  std::ofstream out_;
  std::set<std::string> added_;
  unsigned inode_ = 0;
};

// The unpacked kernel package.
class KernelPackage {
 public:
  KernelPackage() {
    const std::string folder = InSources(".build/kernel");
    std::error_code none;
    for (const auto& entry : fs::recursive_directory_iterator(folder, none)) {
      std::string name = entry.path().filename();
      if (name.starts_with("vmlinuz-")) image_ = entry.path();
      if (name.ends_with(".ko")) modules_[Plain(entry.path().stem())] = entry.path();
    }
    if (image_.empty() || modules_.empty())
      throw std::runtime_error("there is no kernel package in " + folder + ": " + kGetAll);
  }

  const std::string& image() const { return image_; }
  // The module after those that it says it depends on; nothing if it is part of the image.
  void AddModule(const std::string& name, Archive& archive) {
    auto found = modules_.find(Plain(name));
    if (found == modules_.end() || !added_.insert(found->first).second) return;
    std::string content = ReadFile(found->second);
    constexpr std::string_view kKey = {"\0depends=", 9};
    size_t at = content.find(kKey);
    std::istringstream needed(at == std::string::npos ? "" : content.c_str() + at + kKey.size());
    for (std::string other; std::getline(needed, other, ',');) AddModule(other, archive);
    char place[16];
    std::snprintf(place, sizeof place, "%03zu-", ++placed_);
    archive.AddFile("/modules/" + (place + found->first), content);
  }

 private:
  static std::string Plain(std::string name) {
    for (char& c : name) c = c == '-' ? '_' : c;
    return name;
  }

  std::string image_;
  std::map<std::string, std::string> modules_;
  std::set<std::string> added_;
  size_t placed_ = 0;
};

void CheckFilter(const std::string& program, const std::string& filter) {
  std::istringstream parts(filter);
  for (std::string part; std::getline(parts, part, ':');)
    if (OutputOf(program + " --gtest_list_tests '--gtest_filter=" + part + "'").find("\n  ") ==
        std::string::npos)
      throw std::runtime_error(program + " has no test " + part + ": change the filter");
}

void MakeFileSystem(KernelPackage& package, const std::string& path) {
  Archive archive(path);
  archive.AddProgram("/init", InBuild("tests/bpf/old_kernel_guest"));
  std::string programs;
  for (const auto& [program, filter] : ProgramsToRun()) {
    CheckFilter(InBuild("tests/bpf/" + program), filter);
    archive.AddProgram("/tests/" + program, InBuild("tests/bpf/" + program));
    programs += "/tests/" + program + " " + filter + "\n";
  }
  const std::string next_agent = InBuild("tests/bpf/next_agent");
  archive.AddProgram(next_agent, next_agent);  // bpf_upgrade starts it
  archive.AddFile("/programs", programs);
  for (const std::string& command : kCommands) {
    std::string found = Find(command);
    if (found.empty()) throw std::runtime_error(command + " is not installed: " + kGetAll);
    archive.AddProgram("/bin/" + command, found);
  }
  for (const std::string& module : kModules) package.AddModule(module, archive);
  archive.AddFolder("/dev");
  archive.End();
}

// There is a KVM that needs no help of the processor; it runs only kernels that were made for it.
bool HasHardwareHelp() {
  int kvm = ::open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm < 0) return false;
  ::close(kvm);
  std::istringstream words(ReadFile("/proc/cpuinfo"));
  for (std::string word; words >> word;)
    if (word == "vmx" || word == "svm") return true;
  return false;
}

// The guest, whose console is this program's output, from beginning to end.
void RunGuest(const std::string& image, const std::string& files, const std::string& results) {
  std::string qemu = Find("qemu-system-x86_64");
  if (qemu.empty())
    throw std::runtime_error(std::string("qemu-system-x86_64 is not installed: ") + kGetAll);
  std::vector<std::string> arguments = {
      "qemu-system-x86_64", "-machine", "q35", "-m", "1024", "-nodefaults", "-display", "none",
      "-kernel", image, "-no-user-config", "-initrd", files, "-serial", "stdio", "-serial",
      "file:" + results, "-no-reboot",
      // Nothing here is secret, and each of these is slow without hardware help.
      "-append", "console=ttyS0 quiet panic=-1 mitigations=off init_on_alloc=0"};
  if (HasHardwareHelp()) {
    arguments.insert(arguments.end(), {"-accel", "kvm", "-accel", "tcg", "-cpu", "max"});
  } else {
    std::cout << "no hardware virtualization here: this takes a few minutes" << std::endl;
    // With these the kernel copies memory byte by byte.
    arguments.insert(arguments.end(), {"-accel", "tcg", "-cpu", "max,-erms,-fsrm"});
  }
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(::open("/dev/null", O_RDONLY), STDIN_FILENO);
    ::execv(qemu.c_str(), argv.data());
    ::_exit(127);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || status != 0)
    throw std::runtime_error("qemu did not end well: see above");
}

class OldKernelTest : public testing::TestWithParam<std::pair<std::string, std::string>> {
 protected:
  static void SetUpTestSuite() {
    try {
      TemporaryDirectory directory;
      KernelPackage package;
      MakeFileSystem(package, directory / "files.cpio");
      RunGuest(package.image(), directory / "files.cpio", directory / "results");
      std::ifstream results(directory / "results");
      int code = 0;
      for (std::string program; results >> program >> code;)
        Results()[fs::path(program).filename()] = code;
    } catch (const std::exception& e) {
      Problem() = e.what();
    }
  }
  static std::map<std::string, int>& Results() {
    static std::map<std::string, int> results;
    return results;
  }
  static std::string& Problem() {
    static std::string problem;
    return problem;
  }
};

TEST_P(OldKernelTest, Passes) {
  if (!Problem().empty()) FAIL() << Problem();
  ASSERT_TRUE(Results().contains(GetParam().first))
      << "the guest did not get to its end: see above";
  EXPECT_EQ(Results()[GetParam().first], 0) << "see above";
}

INSTANTIATE_TEST_SUITE_P(, OldKernelTest, testing::ValuesIn(ProgramsToRun()),
                         [](const auto& param) { return param.param.first; });

}  // namespace
}  // namespace sallyport::test
