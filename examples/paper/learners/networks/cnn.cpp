#include "learners/networks/networks.hpp"

namespace paper {

namespace {

constexpr Index filters_of_layers[] = {16, 32, 64, 128}, hidden = 512;

std::string title(const Configuration&) {
  std::string name = "cnn";
  for (const Index filters : filters_of_layers) name += "-" + std::to_string(filters);
  return name + "-" + std::to_string(hidden);
}

Signal features(Layers& layers, const Signal& images, const Configuration&) {
  Signal x = images;
  for (const Index filters : filters_of_layers) x = layers.activate(layers.convolve(x, filters, 3, 2, true));
  return layers.activate(layers.connect(layers.flatten(x), hidden));
}

}  // namespace

// 4 convolutions 3x3 of stride 2 and padding 1, a hidden layer, the classes (appendix B.3)
Network cnn() { return {.name = "cnn", .title = title, .features = features, .at_once = {5, 64, 4096}}; }

}  // namespace paper
