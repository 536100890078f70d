#pragma once

#include <iosfwd>
#include <map>
#include <set>
#include <string>

#include "data/problem.hpp"

namespace paper {

struct FoundData {
  DataLibrary::Folders folders;
  std::map<std::string, std::string> missing;  // data set -> why it is not there, and how to get it
};

// Where the data of these problems lie, and what `log` says about it. asked: --data, a folder or "synthetic";
// empty: SAGITTA_DATA, else sagitta-data, into which what can be downloaded is, else the built-in stand-ins.
// A folder that was asked for is never replaced by a stand-in. std::runtime_error for a download that was
// interrupted.
FoundData find_data(std::string asked, const std::set<std::string>& problems, std::ostream& log);

}  // namespace paper
