#pragma once

#include <filesystem>
#include <string>

#include "figures/figure.hpp"

// Experiments of one's own, as JSON (docs/own_experiments.md).
namespace paper {

// std::runtime_error with file and line for what is not as the page says.
Figure read_experiment(const std::filesystem::path& file);
Figure experiment(const std::string& name, const std::string& text);  // name: in messages

// A figure at a profile as such a file: reading it gives the same runs, panels and claims.
std::string show(const Figure& figure, const std::string& profile);

}  // namespace paper
