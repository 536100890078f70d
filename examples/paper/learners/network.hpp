#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/registry.hpp"
#include "learners/configuration.hpp"

namespace paper {

// What goes from layer to layer: images, or `channels` numbers where height and width are 1.
struct Signal {
  Index channels, height = 1, width = 1;
  std::shared_ptr<void> value{};  // the Layers' own
};

// The layers of a network, in the order in which it calls them. The same walk through a network lists the
// shapes of its parameters, counts its operations, and runs one or many of it.
class Layers {
 public:
  virtual ~Layers() = default;
  // kernel x kernel, padding kernel / 2
  virtual Signal convolve(const Signal& x, Index filters, Index kernel, Index stride, bool biased) = 0;
  virtual Signal normalize(const Signal& x) = 0;  // batch normalisation
  virtual Signal activate(const Signal& x) = 0;
  virtual Signal pool_maximum(const Signal& x) = 0;  // 3x3 of stride 2
  virtual Signal pool_mean(const Signal& x) = 0;     // over the whole image
  virtual Signal flatten(const Signal& x) = 0;
  virtual Signal connect(const Signal& x, Index outputs) = 0;  // fully, with biases
  virtual Signal add(const Signal& x, const Signal& other) = 0;

  static Index shrunk(Index size, Index kernel, Index stride) {
    return (size + 2 * (kernel / 2) - kernel) / stride + 1;
  }
};

struct Network {
  std::string name;                            // "mlp"
  std::string (*title)(const Configuration&);  // "mlp-256-256-256"
  // the walk from the inputs to the last hidden layer; the layer of the classes is added to every network
  Signal (*features)(Layers&, const Signal&, const Configuration&);
  bool images = true;  // needs images
  // Fully connected layers of Configuration::width and depth and nothing else: trained without LibTorch too
  bool fully_connected = false;
  bool whole_batches = false;  // batch normalisation: no batch of one example
  // How many are worth a group: on a CPU until their parameters leave the caches, on a GPU until it is busy,
  // within its memory. And the examples of all of them that a pass on a CPU takes at once.
  struct {
    std::size_t cpu, gpu;
    Index examples;
  } at_once;
};

// A network of one's own: a file beside networks/cnn.cpp and a line in the list of network.cpp, or add()
// before anything is planned.
Registry<Network>& networks();
const Network& network_of(const Configuration& configuration);

// Of a network for inputs of this shape: multiply-adds of one example's way through it, and parameters.
struct NetworkSize {
  double multiply_adds, parameters;
};
NetworkSize size_of(const Configuration& configuration, const Signal& inputs, Index classes);

// inputs, hidden widths, classes
std::vector<Index> network_widths(const Configuration& configuration, Index inputs, Index classes);

}  // namespace paper
