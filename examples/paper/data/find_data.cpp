#include "data/find_data.hpp"

#include <sys/wait.h>

#include <cstdlib>
#include <ostream>
#include <stdexcept>

namespace paper {

namespace {

namespace fs = std::filesystem;

// One of the three data sets.
struct Source {
  const char* name;      // in messages
  const char* fetched;   // what fetch_data.py calls it; null where it cannot be downloaded
  const char* stand_in;  // what is built in instead
  bool (*is_there)(const fs::path& folder);
  fs::path DataLibrary::Folders::*folder;
  const char* missing;  // behind the name of the folder
};

const Source mnist{
    "MNIST", "mnist", "synthetic digits", has_mnist, &DataLibrary::Folders::mnist, "no MNIST training files"};
const Source cifar10{"CIFAR-10",
                     "cifar10",
                     "synthetic colour textures",
                     has_cifar10,
                     &DataLibrary::Folders::cifar10,
                     "no data_batch_1.bin of CIFAR-10's binary version"};
const Source imagenet{"ImageNet",
                      nullptr,
                      "synthetic colour textures",
                      has_image_classes,
                      &DataLibrary::Folders::imagenet,
                      "no classes/<number>.npy, uint8 (images, 3, 32, 32), as Continual ImageNet has them"};

const Source& source_of(const std::string& problem) {
  return problem == "random_label_cifar" ? cifar10 : problem == "continual_imagenet" ? imagenet : mnist;
}

std::string script() { return std::string(SAGITTA_PAPER_SCRIPTS) + "/data/fetch_data.py"; }

std::string how_to_fetch(const Source& source, const std::string& folder) {
  if (source.fetched == nullptr) return "";
  return "; python3 " + script() + " " + source.fetched + " " + folder + " gets it";
}

bool download(const Source& source, const std::string& folder, std::ostream& log) {
  log << "data: neither --data nor SAGITTA_DATA; downloading " << source.name << " to " << folder
      << std::endl;
  const std::string command = "python3 '" + script() + "' " + source.fetched + " " + folder + " >&2";
  const int status = std::system(command.c_str());
  if (WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) > 128))  // the shell's word for it
    throw std::runtime_error("data: the download to " + folder + " was interrupted");
  return status == 0 && source.is_there(folder);
}

}  // namespace

FoundData find_data(std::string asked, const std::set<std::string>& problems, std::ostream& log) {
  if (asked.empty())
    if (const char* variable = std::getenv("SAGITTA_DATA")) asked = variable;
  FoundData result;
  std::set<const Source*> seen;
  for (const std::string& problem : problems) {
    const Source& source = source_of(problem);
    const bool first = seen.insert(&source).second;
    if (asked == "synthetic") {
      if (first) log << "data: built-in " << source.stand_in << ", as asked for\n";
      continue;
    }
    const std::string folder = asked.empty() ? "sagitta-data" : asked;
    if (source.is_there(folder)) {
      result.folders.*source.folder = folder;
      if (first) log << "data: " << source.name << " in " << folder << '\n';
    } else if (!asked.empty()) {
      const std::string own = &source == &mnist ? "mnist" : &source == &cifar10 ? "cifar10" : "imagenet32";
      result.missing[problem] = std::string("data: ") + source.missing + " in " + folder + " or " + folder +
                                "/" + own + how_to_fetch(source, folder) +
                                "; --data synthetic stands in with built-in " + source.stand_in;
    } else if (first && source.fetched != nullptr && download(source, folder, log)) {
      result.folders.*source.folder = folder;
      log << "data: " << source.name << " in " << folder << '\n';
    } else if (first) {
      log << "data: no " << source.name << (source.fetched != nullptr ? ", no download" : "") << "; built-in "
          << source.stand_in << " instead\n";
    }
  }
  return result;
}

}  // namespace paper
