#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <string>
#include <vector>

#include "runs/results.hpp"

namespace paper {

// Everything that a run's numbers depend on, but for the number of tasks: a longer run continues a shorter
// one. The words are those of results files and of the command line. Defaults are the paper's, section 3, and
// where it is silent the choices that docs/definitions.md lists.
struct Configuration {
  // the problem
  // permuted_mnist, projected_mnist, random_label_cifar, continual_imagenet
  std::string problem = "random_label_mnist";
  std::string data = "any";  // name and fingerprint of the data set, "mnist-5f3a09c1"
  Index images = 1280;  // of a task, drawn without replacement, by seed; all where CIFAR, ImageNet have less
  Index pool = 1;       // images are averaged over pool x pool boxes
  // of bytes x: default is x/255 for MNIST, (x/255 - mean) / deviation of the channels for CIFAR-10 and
  // (x/255 - .5) / .5 for ImageNet; unit: x/255; standardized: by mean and deviation for MNIST too
  std::string scaling = "default";
  std::string label_change = "permute";  // or iid: each label drawn anew
  std::string first_task = "default";  // changed, unchanged; by default labels are changed and pixels are not

  // the network. mlp: fully connected. cnn: 4 convolutions 3x3 of stride 2 and padding 1 with 16, 32, 64, 128
  // filters, a hidden layer of 512, the classes (appendix B.3). resnet18: He et al. 2016
  std::string architecture = "mlp";
  Index width = 256, depth = 3;        // of the hidden layers of mlp
  std::string stem = "he";             // of resnet18: 7x7 of stride 2 and a maximum pool; cifar: 3x3, no pool
  std::string batch_norm = "running";  // of resnet18: statistics of the batch in training, running ones in
                                       // every measurement; none: without batch normalisation
  std::string head = "keep";           // the last layer from task to task; reset: drawn anew (Dohare et al.)
  std::string activation = "relu";     // leaky_relu, tanh, identity
  double leaky_slope = .01;
  std::string initialization = "glorot_uniform";  // glorot_normal, he_uniform, he_normal; biases are zero

  // training
  std::string optimizer = "adam";  // or sgd
  double learning_rate = 1e-3, beta1 = .9, beta2 = .999, adam_epsilon = 1e-8, momentum = 0;
  std::string optimizer_state = "keep";  // from task to task, or reset
  Index epochs = 200, batch = 256;
  std::string last_batch = "keep";  // or drop, where the batch size does not divide the images

  // regularisation: strength x sum of squares, added to the loss
  std::string regularizer = "none";  // wasserstein, l2_init, l2, feature_rank
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

  std::uint64_t seed = 0;

  // "mlp-256-256-256", "cnn-16-32-64-128-512", "resnet18", "resnet18-cifar-no_batch_norm"
  std::string network() const;
  // whether tasks are the same images with other labels
  bool changes_labels() const { return problem != "permuted_mnist" && problem != "continual_imagenet"; }
};

// All members by name, in a fixed order, numbers as the shortest text that reads back as the same; with the
// derived `network` behind `problem`. Fields that came later appear only where they are not the default, so
// that runs keep their names.
Fields fields(const Configuration& configuration);

// std::invalid_argument where fields do not go together: cnn or resnet18 on projected MNIST, which has no
// images.
void validate(const Configuration& configuration);

// The name of the run: 16 hexadecimal digits from all fields.
std::string run_name(const Configuration& configuration);

// Sets one member from text, "learning_rate" to "0.01" for example. std::invalid_argument that names the
// field, what it got and what it expected for an unknown name, a malformed or impossible number, or a word
// that the field does not know.
void set_field(Configuration& configuration, const std::string& name, const std::string& text);

// the names that set_field takes, but for data, which follows from the data set in use
std::vector<std::string> field_names();

}  // namespace paper
