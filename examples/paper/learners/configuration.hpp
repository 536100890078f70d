#pragma once

#include "data/problem_settings.hpp"

namespace paper {

// Everything that a run's numbers depend on, but for the number of tasks: a longer run continues a shorter
// one. The words are those of results files and of the command line (runs/fields.hpp). Defaults are the
// paper's, section 3, and where it is silent the choices that docs/definitions.md lists.
struct Configuration : ProblemSettings {
  // the network
  std::string architecture = "mlp";    // a name of networks()
  Index width = 256, depth = 3;        // of the hidden layers of mlp
  std::string stem = "he";             // of resnet18: 7x7 of stride 2 and a maximum pool; cifar: 3x3, no pool
  std::string batch_norm = "running";  // of resnet18: statistics of the batch in training, running ones in
                                       // every measurement; none: without batch normalisation
  std::string head = "keep";           // the last layer from task to task; reset: drawn anew (Dohare et al.)
  std::string activation = "relu";     // a name of activations()
  double leaky_slope = .01;
  std::string initialization = "glorot_uniform";  // glorot_normal, he_uniform, he_normal; biases are zero

  // training
  std::string optimizer = "adam";  // or sgd
  double learning_rate = 1e-3, beta1 = .9, beta2 = .999, adam_epsilon = 1e-8, momentum = 0;
  std::string optimizer_state = "keep";  // from task to task, or reset
  Index epochs = 200, batch = 256;
  std::string last_batch = "keep";  // or drop, where the batch size does not divide the images

  // regularisation, added to the loss: the paper's are strength x sum of squares
  std::string regularizer = "none";  // a name of regularizers()
  double strength = 0;
  std::string regularized = "all";  // or weights: without biases
  std::string weight_decay =
      "loss";              // of l2: in the loss; decoupled: theta shrinks by rate x 2 strength (AdamW)
  Index resort_every = 1;  // updates between two sorts of the Wasserstein regulariser

  // measurement
  Index rank_samples = 256;             // of the task's images, for the curvature; at most all
  double threshold = .99;               // of every effective rank
  std::string rank_parameters = "all";  // in per-sample gradients; weights: without biases
  // or exact: the Hessian, Fisher and Gauss-Newton ranks as well, of the whole task and at the cost of
  // parameters^3
  std::string curvature = "empirical_fisher";

  // "mlp-256-256-256", "cnn-16-32-64-128-512", "resnet18", "resnet18-cifar-no_batch_norm"
  std::string network() const;

  // what these words say
  bool keeps_last_batch() const { return last_batch == "keep"; }
  bool resets_head() const { return head == "reset"; }
  bool resets_optimizer() const { return optimizer_state == "reset"; }
  bool regularizes_biases() const { return regularized == "all"; }
  bool decouples_weight_decay() const { return weight_decay == "decoupled"; }
  bool ranks_biases() const { return rank_parameters == "all"; }
  bool measures_exactly() const { return curvature == "exact"; }
  bool uses_adam() const { return optimizer == "adam"; }
  bool normalizes_batches() const { return batch_norm == "running"; }
  bool has_small_stem() const { return stem == "cifar"; }

  bool operator==(const Configuration&) const = default;
};

// Whether networks can be trained as one batched network: they differ in no field but activation,
// regulariser, strength and seed.
bool same_group(Configuration a, const Configuration& b);

}  // namespace paper
