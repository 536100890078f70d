#pragma once

#include <memory>
#include <string>

#include "learners/learner.hpp"
#include "runs/runner.hpp"

// What the training of a plan and the estimate of its time share.
namespace paper {

// Numbers below the smallest normal float become zero: they carry nothing here, and processors take a hundred
// times longer over them. For the calling thread.
void flush_denormals();

// groups that are trained at a time; one where a GPU trains them
std::size_t workers(std::size_t groups, const RunnerOptions& options);

// task: any of the group's
std::unique_ptr<LearnerGroup> make_learner_of(const RunGroup& group,
                                              std::span<const Configuration> configurations, const Task& task,
                                              const RunnerOptions& options);

// "12 s", "3 min 5 s", "2 h 40 min"
std::string duration(double seconds);

}  // namespace paper
