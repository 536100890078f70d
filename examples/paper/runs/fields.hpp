#pragma once

#include <string>
#include <vector>

#include "learners/configuration.hpp"
#include "runs/results.hpp"

// A configuration as text: in results files and on the command line.
namespace paper {

// All members by name, in a fixed order, numbers as the shortest text that reads back as the same; with the
// derived `network` behind `problem`. Fields that came later appear only where they are not the default, so
// that runs keep their names.
Fields fields(const Configuration& configuration);

// std::invalid_argument where fields do not go together: a network that needs images and a problem that has
// none, the exact curvature of a network that is not fully connected.
void validate(const Configuration& configuration);

// The name of the run: 16 hexadecimal digits from all fields.
std::string run_name(const Configuration& configuration);

// Sets one member from text, "learning_rate" to "0.01" for example. std::invalid_argument that names the
// field, what it got and what it expected for an unknown name, a malformed or impossible number, or a word
// that the field does not know.
void set_field(Configuration& configuration, const std::string& name, const std::string& text);

// What networks have to share to be trained as one batched network, see same_group: every field but their
// own.
std::string group_key(const Configuration& configuration);

// the names that set_field takes, but for data, which follows from the data set in use
std::vector<std::string> field_names();

}  // namespace paper
