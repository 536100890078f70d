#include <array>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <stdexcept>

#include "learners/learner.hpp"
#include "learners/network.hpp"
#include "runs/fields.hpp"
#include "runs/runner.hpp"
#ifdef SAGITTA_PAPER_TORCH
#include "learners/torch_learner.hpp"
#endif

// How a plan is divided: among programs, and into groups of runs.
namespace paper {

namespace {

Index number_of(const char* name, const char* text, Index least) {
  Index value = 0;
  const std::string_view all(text);
  const auto [end, error] = std::from_chars(all.data(), all.data() + all.size(), value);
  if (error != std::errc{} || end != all.data() + all.size() || value < least)
    throw std::invalid_argument("environment: " + std::string(name) + " is \"" + text +
                                "\", expected a whole number of at least " + std::to_string(least));
  return value;
}

void check_learner(const RunnerOptions& options) {
  if (options.learner != "auto" && options.learner != "eigen" && options.learner != "torch")
    throw std::invalid_argument("learner \"" + options.learner + "\", expected one of eigen, torch, auto");
  if (options.learner == "eigen" && !options.on_cpu())
    throw std::invalid_argument("device \"" + options.device + "\": the learner eigen has the CPU only");
#ifdef SAGITTA_PAPER_TORCH
  if (const std::string problem = device_problem(options.device); !problem.empty())
    throw std::invalid_argument(problem);
#else
  if (!options.on_cpu() || options.learner == "torch")
    throw std::invalid_argument(
        (!options.on_cpu() ? "device \"" + options.device + "\"" : "learner \"torch\"") +
        ": this program was built without LibTorch; configure with -DSAGITTA_WITH_LIBTORCH=ON and LibTorch "
        "on CMAKE_PREFIX_PATH");
#endif
}

// A small fully connected network is trained several times faster by EigenMlp on a CPU; nothing else is.
bool wants_torch(const Configuration& configuration, const RunnerOptions& options) {
  const bool fully_connected = network_of(configuration).fully_connected;
  if (options.learner == "eigen" && !fully_connected)
    throw std::invalid_argument("learner \"eigen\" cannot train " + configuration.network() +
                                ", only fully connected networks");
  if (options.learner != "auto") return options.learner == "torch";
  return !fully_connected || !options.on_cpu();
}

std::size_t networks_at_once(const Configuration& configuration, const RunnerOptions& options) {
  const auto& at_once = network_of(configuration).at_once;
  return options.on_cpu() ? at_once.cpu : at_once.gpu;
}

}  // namespace

Share share_of_environment() {
  constexpr std::array<std::array<const char*, 2>, 3> names{
      {{"RANK", "WORLD_SIZE"},
       {"SLURM_PROCID", "SLURM_NTASKS"},
       {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}}};
  for (const auto& [rank_name, size_name] : names) {
    const char *rank = std::getenv(rank_name), *size = std::getenv(size_name);
    if (rank == nullptr && size == nullptr) continue;
    if (rank == nullptr || size == nullptr)
      throw std::invalid_argument("environment: " + std::string(rank == nullptr ? size_name : rank_name) +
                                  " is set, expected " + (rank == nullptr ? rank_name : size_name) + " too");
    const Share share{number_of(rank_name, rank, 0), number_of(size_name, size, 1)};
    if (share.rank >= share.size)
      throw std::invalid_argument("environment: " + std::string(rank_name) + " is " + rank +
                                  ", expected less than " + size_name + ", " + size);
    return share;
  }
  return {};
}

std::vector<PlannedRun> part(std::span<const PlannedRun> plan, const Share& share) {
  std::vector<PlannedRun> mine;
  for (std::size_t i = static_cast<std::size_t>(share.rank); i < plan.size();
       i += static_cast<std::size_t>(share.size))
    mine.push_back(plan[i]);
  return mine;
}

std::string file_of_rank(const std::string& file, const Share& share) {
  if (share.size == 1) return file;
  std::filesystem::path path(file);
  const std::string extension = path.extension().string();
  path.replace_extension();
  return path.string() + ".rank" + std::to_string(share.rank) + extension;
}

std::vector<RunGroup> groups_of(std::span<const PlannedRun> plan, const RunnerOptions& options) {
  check_learner(options);
  std::vector<RunGroup> groups;
  std::map<std::string, std::size_t> open;  // the group of a kind that is being filled
  for (const PlannedRun& run : plan) {
    if (!wants_torch(run.configuration, options)) {
      groups.push_back({{run}, false});
      continue;
    }
    if (!has_learner(run.configuration)) make_learner(run.configuration, 1, 1);  // says why not
    const std::string kind = group_key(run.configuration) + std::to_string(run.tasks);
    const auto place = open.find(kind);
    if (place != open.end() &&
        groups[place->second].runs.size() < networks_at_once(run.configuration, options)) {
      groups[place->second].runs.push_back(run);
      continue;
    }
    open[kind] = groups.size();
    groups.push_back({{run}, true});
  }
  return groups;
}

std::string trained_by(const RunGroup& group, const RunnerOptions& options) {
  return !group.torch ? "eigen" : options.on_cpu() ? "torch-cpu" : "torch-cuda";
}

}  // namespace paper
