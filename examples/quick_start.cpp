#include <iostream>
#include <sagitta/sagitta.hpp>

// A training code has a network and a batch of samples. It runs forward, then back from the loss of each
// sample, and keeps for every layer what went in and what came back. Here: one hidden layer, random weights.
int main() {
  std::srand(1);
  const int samples = 64, features = 20, hidden = 30, classes = 5;
  const Eigen::MatrixXf W1 = Eigen::MatrixXf::Random(hidden, features);
  const Eigen::MatrixXf W2 = Eigen::MatrixXf::Random(classes, hidden);
  const Eigen::MatrixXf inputs = Eigen::MatrixXf::Random(samples, features);  // a row a sample
  Eigen::VectorXi labels(samples);
  for (int m = 0; m < samples; ++m) labels[m] = m % classes;

  const Eigen::MatrixXf activity = (inputs * W1.transpose()).array().tanh();
  const Eigen::MatrixXf probabilities = sagitta::softmax(activity * W2.transpose());
  const Eigen::MatrixXf backprops2 = sagitta::cross_entropy_backprops(probabilities, labels);
  const Eigen::MatrixXf backprops1 = (backprops2 * W2).array() * (1 - activity.array().square());

  // from the backward pass to a certified rank
  const std::vector<sagitta::LayerTrace<float>> layers{{.inputs = inputs, .backprops = backprops1},
                                                       {.inputs = activity, .backprops = backprops2}};
  const sagitta::GradientGram gram = sagitta::gradient_gram(layers);
  const sagitta::EffectiveRank rank = sagitta::fisher_rank(gram);
  std::cout << "directions of curvature: " << rank.rank << " of " << rank.max_rank
            << (rank.certified() ? ", certified\n" : ", a close call\n");

  // what else the paper looks at
  std::cout << "gradient overlap:        " << sagitta::gradient_gram_overlap(gram).value << '\n'
            << "feature rank:            " << sagitta::feature_rank(activity).rank << " of " << hidden << '\n'
            << "dormancy:                " << sagitta::dormancy(activity) << " nats\n";

  // and what keeps the curvature: its gradient is added to that of the loss
  sagitta::WassersteinPenalty penalty(W1);
  const Eigen::MatrixXf trained = 1.5f * W1;
  Eigen::MatrixXf gradient = Eigen::MatrixXf::Zero(hidden, features);
  std::cout << "Wasserstein penalty:     " << penalty.add_gradient(trained, 0.005, gradient) << '\n';
}
