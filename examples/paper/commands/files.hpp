#pragma once

#include <string>
#include <vector>

#include "commands/commands.hpp"
#include "figures/archive.hpp"

namespace paper {

// the files of values that are asked for, those of folders by name
std::vector<std::string> files_of_values(const Options& options);
// the results that are asked for; with values: and those of files of values
Archive open_archive(const Options& options, bool with_values);

}  // namespace paper
