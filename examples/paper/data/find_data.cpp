#include "data/find_data.hpp"

#include <sys/wait.h>

#include <cstdlib>
#include <ostream>
#include <stdexcept>

namespace paper {

namespace {

namespace fs = std::filesystem;

std::string script() { return std::string(SAGITTA_PAPER_SCRIPTS) + "/data/fetch_data.py"; }

std::string how_to_fetch(const DataSet& set, const std::string& folder) {
  if (!set.downloads) return "";
  return "; python3 " + script() + " " + set.name + " " + folder + " gets it";
}

bool download(const DataSet& set, const std::string& folder, std::ostream& log) {
  log << "data: neither --data nor SAGITTA_DATA; downloading " << set.label << " to " << folder << std::endl;
  const std::string command = "python3 '" + script() + "' " + set.name + " " + folder + " >&2";
  const int status = std::system(command.c_str());
  if (WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) > 128))  // the shell's word for it
    throw std::runtime_error("data: the download to " + folder + " was interrupted");
  return status == 0 && set.is_there(folder);
}

}  // namespace

FoundData find_data(std::string asked, const std::set<std::string>& problems, std::ostream& log) {
  if (asked.empty())
    if (const char* variable = std::getenv("SAGITTA_DATA")) asked = variable;
  FoundData result;
  std::set<const DataSet*> sets;
  for (const std::string& problem : problems) sets.insert(&data_set_of(problem));
  for (const DataSet& set : data_sets()) {
    if (!sets.contains(&set)) continue;
    const bool synthetic = asked == "synthetic";
    if (synthetic && !set.stand_in.empty()) {
      log << "data: built-in " << set.stand_in << ", as asked for\n";
      continue;
    }
    const std::string folder = asked.empty() || synthetic ? "sagitta-data" : asked;
    if (set.is_there(folder)) {
      result.folders[set.name] = folder;
      log << "data: " << set.label << " in " << folder << '\n';
    } else if ((!asked.empty() && !synthetic) || set.stand_in.empty()) {
      result.missing[set.name] =
          "data: no " + set.files + " in " + folder + " or " + folder + "/" + set.name +
          how_to_fetch(set, folder) +
          (set.stand_in.empty() ? "; --data names another folder"
                                : "; --data synthetic stands in with built-in " + set.stand_in);
    } else if (set.downloads && download(set, folder, log)) {
      result.folders[set.name] = folder;
      log << "data: " << set.label << " in " << folder << '\n';
    } else {
      log << "data: no " << set.label << (set.downloads ? ", no download" : "") << "; built-in "
          << set.stand_in << " instead\n";
    }
  }
  return result;
}

}  // namespace paper
