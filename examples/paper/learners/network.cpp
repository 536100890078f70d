#include "learners/network.hpp"

#include "learners/networks/networks.hpp"

namespace paper {

namespace {

// counts instead of computing
class Count : public Layers {
 public:
  NetworkSize size{0, 0};

  Signal convolve(const Signal& x, Index filters, Index kernel, Index stride, bool biased) override {
    const Signal out{filters, shrunk(x.height, kernel, stride), shrunk(x.width, kernel, stride)};
    const auto weights = static_cast<double>(x.channels * filters * kernel * kernel);
    size.multiply_adds += weights * static_cast<double>(out.height * out.width);
    size.parameters += weights + static_cast<double>(biased ? filters : 0);
    return out;
  }
  Signal normalize(const Signal& x) override {
    size.parameters += 2 * static_cast<double>(x.channels);
    return x;
  }
  Signal activate(const Signal& x) override { return x; }
  Signal pool_maximum(const Signal& x) override {
    return {x.channels, shrunk(x.height, 3, 2), shrunk(x.width, 3, 2)};
  }
  Signal pool_mean(const Signal& x) override { return {x.channels}; }
  Signal flatten(const Signal& x) override { return {x.channels * x.height * x.width}; }
  Signal connect(const Signal& x, Index outputs) override {
    const auto weights = static_cast<double>(x.channels * outputs);
    size.multiply_adds += weights;
    size.parameters += weights + static_cast<double>(outputs);
    return {outputs};
  }
  Signal add(const Signal& x, const Signal&) override { return x; }
};

}  // namespace

Registry<Network>& networks() {
  static Registry<Network> all("network", {mlp(), cnn(), resnet18()});
  return all;
}

const Network& network_of(const Configuration& configuration) {
  return networks().at(configuration.architecture);
}

std::string Configuration::network() const { return network_of(*this).title(*this); }

NetworkSize size_of(const Configuration& configuration, const Signal& inputs, Index classes) {
  Count count;
  count.connect(network_of(configuration).features(count, inputs, configuration), classes);
  return count.size;
}

std::vector<Index> network_widths(const Configuration& configuration, Index inputs, Index classes) {
  std::vector<Index> widths{inputs};
  widths.insert(widths.end(), static_cast<std::size_t>(configuration.depth), configuration.width);
  widths.push_back(classes);
  return widths;
}

bool same_group(Configuration a, const Configuration& b) {
  a.activation = b.activation, a.regularizer = b.regularizer, a.strength = b.strength, a.seed = b.seed;
  return a == b;
}

}  // namespace paper
