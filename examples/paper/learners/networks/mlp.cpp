#include "learners/networks/networks.hpp"

namespace paper {

namespace {

std::string title(const Configuration& c) {
  std::string name = "mlp";
  for (Index layer = 0; layer < c.depth; ++layer) name += "-" + std::to_string(c.width);
  return name;
}

Signal features(Layers& layers, const Signal& inputs, const Configuration& c) {
  Signal x = layers.flatten(inputs);
  for (Index layer = 0; layer < c.depth; ++layer) x = layers.activate(layers.connect(x, c.width));
  return x;
}

}  // namespace

// fully connected (section 3)
Network mlp() {
  return {.name = "mlp",
          .title = title,
          .features = features,
          .images = false,
          .fully_connected = true,
          .at_once = {10, 128, 16384}};
}

}  // namespace paper
