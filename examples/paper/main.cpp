#include <CLI/CLI.hpp>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <thread>

#include "commands/commands.hpp"

// sagitta-paper: the paper's experiments, and one's own, from the command line. See `sagitta-paper --help`.
namespace {

using namespace paper;

using Overrides = std::map<std::string, std::string>;

void add_choice(CLI::App& command, Options& options, Overrides& overrides) {
  command.add_option("--profile", options.choice.profile, "smoke, demo, medium or paper")
      ->capture_default_str();
  command.add_option("--tasks", options.choice.tasks, "number of tasks, else the profile's")
      ->check(CLI::PositiveNumber);
  command.add_option("--seeds", options.choice.seeds, "number of seeds, else the profile's")
      ->check(CLI::PositiveNumber);
  command.add_option("--problem", options.choice.problems, "only these problems of the figures");
  // what a figure varies itself is not for the command line
  for (const std::string& name : field_names()) {
    if (name == "problem" || name == "activation" || name == "regularizer" || name == "strength" ||
        name == "seed")
      continue;
    std::string option = "--" + name;
    std::replace(option.begin(), option.end(), '_', '-');
    command.add_option(option, overrides[name], "instead of the profile's")->group("Configuration");
  }
}

CLI::App* add_figures(CLI::App* command, Options& options, bool required = true) {
  command
      ->add_option("figures", options.figures,
                   required ? "fig1, ..., all, or a file my.json with an experiment of one's own"
                            : "fig1, ..., or a file my.json; else all there is")
      ->required(required);
  return command;
}

void add_results(CLI::App* command, Options& options, bool several) {
  auto* option = command
                     ->add_option("--results", options.results,
                                  several ? "files of results: SQLite, or values that publish wrote"
                                          : "SQLite file of the results")
                     ->capture_default_str();
  if (!several) option->expected(1);
}

void add_values(CLI::App* command, Options& options, const std::string& what) {
  command->add_option("--values", options.values, what)->capture_default_str();
}

void add_run_options(CLI::App* command, Options& options) {
  command->footer(
      "Exit status: 0 when all is trained, " + std::to_string(more_to_train) +
      " when --max-hours ended it before (submit the same command again), 128 + n when signal n did, "
      "else an error.");
  command->add_option(
      "--data", options.data,
      "folder with mnist/, cifar10/, imagenet32/, own/, or \"synthetic\"; else SAGITTA_DATA, a "
      "download, pictures of our own");
  command
      ->add_option("--learner", options.learner,
                   "eigen (CPU, fully connected), torch (batched networks), or auto: the faster one")
      ->capture_default_str();
  command->add_option("--device", options.device, "cpu, cuda or cuda:N")->capture_default_str();
  command->add_option("--max-hours", options.max_hours, "stop after so long; the same command continues")
      ->check(CLI::PositiveNumber);
  command->add_option("--threads", options.threads, "runs at a time; the numbers do not depend on it")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_flag("--resume,!--no-resume", options.resume, "continue what was begun, or train it anew");
  command->add_flag("--dry-run", options.dry_run, "only say how much would be run");
}

int main_(int count, char** arguments) {
  Options options;
  options.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  if (std::filesystem::is_directory(SAGITTA_PAPER_VALUES)) options.values = {SAGITTA_PAPER_VALUES};
  Overrides overrides;
  CLI::App app{"The experiments of \"Directions of Curvature as an Explanation for Loss of Plasticity\""};
  app.require_subcommand(1);
  std::vector<std::pair<CLI::App*, int (*)(Options&)>> commands;
  const auto add = [&](const char* name, const char* description, int (*work)(Options&)) {
    commands.emplace_back(app.add_subcommand(name, description), work);
    return commands.back().first;
  };

  add_figures(add("list", "List the figures", list), options, false);
  CLI::App* command = add_figures(add("show", "Print figures as files of experiments", show), options);
  command->add_option("--profile", options.choice.profile, "smoke, demo, medium or paper")
      ->capture_default_str();

  command = add_figures(add("run", "Train the networks of figures", run), options);
  add_choice(*command, options, overrides);
  add_results(command, options, false);
  add_values(command, options, "files or folders of values, whose runs are done");
  add_run_options(command, options);

  for (const auto& [name, description, work] : {std::tuple{"status", "Say which runs are complete", &status},
                                                std::tuple{"plot", "Draw figures as PNG and SVG", &plot},
                                                std::tuple{"check", "Judge the paper's claims", &check}}) {
    command = add_figures(add(name, description, work), options, work != status);
    add_choice(*command, options, overrides);
    add_results(command, options, true);
    add_values(command, options, "files or folders of values, read besides");
    if (work == plot)
      command->add_option("--output", options.output, "folder for the pictures")->capture_default_str();
    if (work == check)
      command->add_flag("--verbose", options.verbose, "with all the figures and the paper's words");
  }

  command = add("watch", "Show error and curvature of the runs in a file as they come", watch);
  command->add_option("file", options.results, "SQLite file of the results")->expected(1)->required();

  command = add("export", "Write all values as CSV to standard output", export_values);
  add_results(command, options, true);
  command->add_flag("--runs", options.runs, "the runs' configurations, and what made them, instead");

  command = add_figures(
      add("publish", "Keep the values of complete runs in compressed files, a profile and problem each",
          publish),
      options);
  add_choice(*command, options, overrides);
  add_results(command, options, true);
  command->add_option("--output", options.output, "folder for the files")->capture_default_str();
  command->add_option("--made-by", options.made_by,
                      "name=value ...: what made runs that have no record of it, commit=... for example");

  CLI11_PARSE(app, count, arguments);
  for (const auto& [name, text] : overrides)
    if (!text.empty()) options.choice.overrides.emplace_back(name, text);
  for (const auto& [one, work] : commands) {
    if (!*one) continue;
    const auto given = [&, app_ = one](const char* option) {
      const CLI::Option* found = app_->get_option_no_throw(option);
      return found != nullptr && found->count() > 0;
    };
    options.profile_given = given("--profile");
    options.results_given = given("--results");
    return work(options);
  }
  return 1;
}

}  // namespace

int main(int count, char** arguments) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file at the limit of its size is an error of writing it, no sudden end
  try {
    const int status = main_(count, arguments);
    if (!std::cout.flush()) throw std::runtime_error("cannot write to standard output");
    return status;
  } catch (const std::exception& error) {
    std::cerr << "sagitta-paper: " << error.what() << '\n';
    return 1;
  }
}
