#pragma once

#include <filesystem>
#include <iosfwd>

#include "figures/archive.hpp"

namespace paper {

// The settings of a figure in a word, for captions: sizes, network, optimiser, seeds.
std::string describe(const PlannedSetting& setting, const std::string& data);

// Draws the panels as OUTPUT/FIGURE-PROFILE.png and .svg by plot.py; returns the picture's path. Bands are
// what reach says of the seeds that have reached a task: 95 % t intervals, of few seeds all that they span.
// std::runtime_error where nothing was run yet, or python3 or matplotlib is missing.
std::filesystem::path draw(const Figure& figure, const Choice& choice,
                           const std::vector<PlannedSetting>& settings, const Archive& archive,
                           const std::filesystem::path& output);

// A claim a line: its verdict, the condition, two or three numbers; verbose: all the figures behind it and
// the paper's words. Judged are complete runs only, and what is missing is said. False where no claim could
// be judged for want of runs.
bool check(const Figure& figure, const std::vector<PlannedSetting>& settings, const Archive& archive,
           bool verbose, std::ostream& out);

// Writes the complete runs at this profile as OUTPUT/PROFILE-PROBLEM.json.gz, a file a problem, besides what
// such a file has already; made_by: of runs without a record of what made them. Returns the files.
std::vector<std::filesystem::path> publish(const std::string& profile,
                                           const std::vector<PlannedSetting>& settings,
                                           const Archive& archive, const Fields& made_by,
                                           const std::filesystem::path& output);

// "; values of numerics 1 and 2 are mixed", or nothing
std::string mixture(const PlannedSetting& setting, const Archive& archive);

// One line a series: how many of its runs are complete.
void status(const Figure& figure, const std::vector<PlannedSetting>& settings, const Archive& archive,
            std::ostream& out);

}  // namespace paper
