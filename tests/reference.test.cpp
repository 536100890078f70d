#include <sagitta/sagitta.hpp>

#include <filesystem>

#include "catch.hpp"
#include "json_values.hpp"

// Against independent values that lie beside the checkout where it was handed over with them.
using Eigen::MatrixXd;
using Eigen::MatrixXf;
using Eigen::VectorXd;
using json_values::Json;
using sagitta::Index;

namespace {

const std::string folder = SAGITTA_SHARED "/reference";

bool absent() {
  if (std::filesystem::exists(folder)) return false;
  WARN("no " << folder << ", nothing compared");
  return true;
}

Json cases(const std::string& group) {
  return json_values::load(folder + "/" + group + "/cases.json").at("cases");
}

MatrixXd csv(const std::string& name) {
  std::ifstream file(folder + "/" + name);
  if (!file) throw std::runtime_error("cannot read " + name);
  std::vector<std::vector<double>> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.empty()) continue;
    rows.emplace_back();
    std::stringstream cells(line);
    for (std::string cell; std::getline(cells, cell, ',');)
      rows.back().push_back(std::strtod(cell.c_str(), nullptr));
  }
  return json_values::matrix(Json(rows));
}

bool close(double got, double want, double allowed) { return std::abs(got - want) <= allowed; }

}  // namespace

TEST_CASE("reference: singular values, eigenvalues and other ranks") {
  if (absent()) return;
  for (const Json& one : cases("erank")) {
    const std::string name = one.at("name");
    INFO(name);
    const MatrixXd A = csv(one.at("file"));
    const VectorXd s = json_values::vector(one.at("singular_values")), got = sagitta::singular_values(A);
    REQUIRE(got.size() == s.size());
    CHECK((got - s).cwiseAbs().maxCoeff() <= 1e-13 * s[0]);
    if (A.rows() == A.cols() && A == A.transpose()) {
      VectorXd moduli = sagitta::symmetric_eigenvalues(A).cwiseAbs();
      std::sort(moduli.begin(), moduli.end(), std::greater<>());
      CHECK((moduli - s).cwiseAbs().maxCoeff() <= 1e-13 * s[0]);
    }
    if (s[0] == 0) {
      CHECK(sagitta::entropy_rank(A) == 0);
      CHECK(sagitta::stable_rank(A) == 0);
      continue;
    }
    const Eigen::ArrayXd unit = s / s[0], p = unit / unit.sum();
    const double entropy = std::exp(-(p * (p > 0).select(p, 1).log()).sum());
    CHECK(close(sagitta::entropy_rank(A), entropy, 1e-12 * entropy));
    CHECK(close(sagitta::stable_rank(A), unit.square().sum(), 1e-12 * unit.square().sum()));
  }
}

TEST_CASE("reference: eigenvalues of the networks' matrices") {
  if (absent()) return;
  for (const Json& one : cases("mlp")) {
    const std::string prefix = one.at("prefix");
    const auto look = [&](const char* key, const MatrixXd& A) {
      INFO(prefix << key);
      VectorXd want = json_values::vector(one.at(key).at("eigenvalues"));
      const VectorXd got = sagitta::symmetric_eigenvalues(A);
      std::sort(want.begin(), want.end(), std::greater<>());
      const Index shared = std::min(want.size(), got.size());
      REQUIRE(shared > 0);
      // a Gram matrix shares the non-zero ones
      const double size = want.cwiseAbs().maxCoeff();
      CHECK((got.head(shared) - want.head(shared)).cwiseAbs().maxCoeff() <= 1e-13 * size);
    };
    if (one.at("hessian").contains("eigenvalues")) look("hessian", csv(prefix + "H.csv"));
    if (one.at("gauss_newton").contains("eigenvalues")) look("gauss_newton", csv(prefix + "GN.csv"));
    if (one.at("ef").contains("eigenvalues")) look("ef", sagitta::gram(csv(prefix + "G_ef.csv").transpose()));
  }
}

TEST_CASE("reference: dormancy of float features") {
  if (absent()) return;
  for (const Json& one : cases("features")) {
    INFO(one.at("name"));
    const MatrixXf F = csv(one.at("F")).cast<float>();
    const auto look = [&](const char* key, double got) {
      if (one.contains(key) && !one.at(key).is_null()) CHECK(close(got, one.at(key), 1e-6));
    };
    look("neg_entropy_unit_mean", sagitta::dormancy(F));
    look("neg_entropy_per_sample_mean", sagitta::per_sample_dormancy(F));
  }
}

TEST_CASE("reference: the feature penalty alone and added") {
  if (absent()) return;
  for (const Json& one : cases("feature_penalty")) {
    INFO(one.at("name"));
    const MatrixXd F = csv(one.at("F")), want = csv(one.at("gradient"));
    sagitta::FeatureRankPenalty penalty;
    const double value = one.at("value");
    CHECK(close(penalty.value(F), value, 1e-12 * std::max(1.0, std::abs(value))));
    MatrixXd sum = MatrixXd::Ones(F.rows(), F.cols());
    (void)penalty.add_gradient(F, 0.5, sum);
    CHECK((sum - MatrixXd::Ones(F.rows(), F.cols()) - want / 2).norm() <= 1e-10 * (1 + want.norm()));
    const MatrixXf single = F.cast<float>();
    MatrixXf gradient(F.rows(), F.cols());
    CHECK(close(penalty.value_and_gradient(single, gradient), value, 1e-5 * std::max(1.0, std::abs(value))));
  }
}
