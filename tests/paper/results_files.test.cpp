#include "catch.hpp"

#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <string>
#include <vector>

#include "stored.hpp"

// Kills, full disks, missing permissions and files of other kinds.
using namespace stored;

namespace {

void sql(const fs::path& file, const char* statements) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(file.c_str(), &database) == SQLITE_OK);
  CHECK(sqlite3_exec(database, statements, nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(database);
}

// the exit status of a child process that runs the function, or minus the signal that ended it
template <class F>
int in_child(F&& function) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    int status = 0;
    try {
      status = function();
    } catch (...) {
      status = 99;
    }
    _exit(status);  // the test program's own ending is the parent's
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

// Every connection that is opened from now on kills its process when as many commits as are left, if any were
// set, are about to take effect.
int commits_left = 0;
void die_in_commit() {
  const auto install = +[](sqlite3* database, char**, const void*) {
    sqlite3_commit_hook(
        database,
        [](void*) {
          if (commits_left > 0 && --commits_left == 0) raise(SIGKILL);
          return 0;
        },
        nullptr);
    return int{SQLITE_OK};
  };
  sqlite3_auto_extension(reinterpret_cast<void (*)()>(install));
}

}  // namespace

TEST_CASE("a program that is killed while it commits loses that task alone", "[results]") {
  const Folder folder;
  const int ended = in_child([&] {
    Results results(folder / "r.db", Access::write);
    results.add_run({"a", {{"seed", "1"}}});
    return 0;
  });
  REQUIRE(ended == 0);
  const int killed = in_child([&] {
    die_in_commit();
    Results results(folder / "r.db", Access::write);
    commits_left = 3;
    for (Index task = 0; task < 10; ++task)
      commit(results, "a", task, .5, 5000000);  // more than SQLite's cache
    return 1;
  });
  CHECK(killed == -SIGKILL);
  CHECK(fs::exists(folder / "r.db-wal"));
  {
    const Results results(folder / "r.db", Access::read);
    CHECK(results.tasks_done("a") == 2);
    CHECK(results.curve("a", "error", 10) == std::vector<double>{.5, .5});
    CHECK((results.checkpoint("a")->state == bytes(5000000, 1)));  // in brackets: not to be printed
  }
  {
    Results results(folder / "r.db", Access::write);  // the lock ended with its holder
    commit(results, "a", 2, .75);
    CHECK(results.curve("a", "error", 10) == std::vector<double>{.5, .5, .75});
  }
  CHECK(names(folder) == std::vector<std::string>{"r.db"});
}

TEST_CASE("a program that is killed while it creates the file leaves one that can be used", "[results]") {
  const Folder folder;
  CHECK(in_child([&] {
          die_in_commit();
          commits_left = 1;
          Results results(folder / "r.db", Access::write);
          return 1;
        }) == -SIGKILL);
  Results results(folder / "r.db", Access::write);
  results.add_run({"a", {}});
  commit(results, "a", 0, .5);
  CHECK(results.tasks_done("a") == 1);
}

TEST_CASE("a full disk is an error, and what was written stays", "[results]") {
  const Folder folder;
  CHECK(
      in_child([&] {
        Results results(folder / "r.db", Access::write);
        results.add_run({"a", {}});
        commit(results, "a", 0, .5);
        signal(SIGXFSZ, SIG_IGN);
        const rlimit limit = {1000000, 1000000};  // bytes a file may have: the nearest to a disk that is full
        setrlimit(RLIMIT_FSIZE, &limit);
        const std::string told = message([&] { commit(results, "a", 1, .5, 5000000); });
        if (told.find((folder / "r.db").string() + ": cannot write task 1 of run a: ") != 0) return 2;
        if (results.tasks_done("a") != 1) return 3;
        commit(results, "a", 1, .25);  // what fits goes on
        return results.tasks_done("a") == 2 ? 0 : 4;
      }) == 0);
  const Results results(folder / "r.db", Access::read);
  CHECK(results.curve("a", "error", 10) == std::vector<double>{.5, .25});
}

TEST_CASE("files that are not results are refused and left alone", "[results]") {
  const Folder folder;
  const fs::path file = folder / "r.db";
  for (const Access access : {Access::read, Access::write}) {
    const auto refusal = [&] { return message([&] { Results(file, access); }); };
    SECTION(access == Access::read ? "read" : "write") {
      SECTION("text") {
        std::ofstream(file) << std::string(5000, 'x');
        CHECK(contains(refusal(),
                       file.string() + ": cannot open it: file is not a database, expected an SQLite file"));
        CHECK(fs::file_size(file) == 5000);
      }
      SECTION("another program's") {
        sql(file, "CREATE TABLE t(x)");
        CHECK(contains(refusal(), "its application_id is 0, expected 1396787017"));
      }
      SECTION("another program's, marked") {
        sql(file, "PRAGMA application_id = 77");
        CHECK(contains(refusal(), "its application_id is 77, expected 1396787017"));
      }
      SECTION("another version") {
        { Results(file, Access::write); }
        sql(file, "PRAGMA user_version = 9");
        CHECK(contains(refusal(), file.string() + ": results of version 9, expected version 2"));
      }
      SECTION("a folder") {
        fs::create_directory(file);
        CHECK(contains(refusal(), file.string() + ": is a folder"));
      }
      CHECK(!fs::exists(folder / "r.db.lock"));
    }
  }
}

TEST_CASE("reading never creates, and writing needs a folder", "[results]") {
  const Folder folder;
  CHECK(contains(message([&] { Results(folder / "absent.db", Access::read); }), "absent.db: not found"));
  CHECK(names(folder).empty());
  CHECK(contains(message([&] { Results(folder / "no/such/r.db", Access::write); }),
                 "No such file or directory"));
  std::ofstream(folder / "empty.db").close();
  CHECK(contains(message([&] { Results(folder / "empty.db", Access::read); }), "not a file of results"));
  { const Results made(folder / "empty.db", Access::write); }
  CHECK(Results(folder / "empty.db", Access::read).runs().empty());
  for (const std::string name : {"odd ?#% name.db", "file:x.db"}) {
    { Results(folder / name, Access::write).add_run({"a", {}}); }
    CHECK(Results(folder / name, Access::read).runs().size() == 1);
  }
}

TEST_CASE("a folder without permission can be read", "[results]") {
  const Folder folder;
  const fs::path closed = folder / "r ?#.db", killed = folder / "killed.db";
  { Results(closed, Access::write).add_run({"a", {}}); }
  sql(closed, "PRAGMA journal_mode = WAL");  // as a writer leaves it that could not change it back
  CHECK(in_child([&] {
          Results results(killed, Access::write);
          results.add_run({"a", {}});
          commit(results, "a", 0, .5);
          return raise(SIGKILL);
        }) == -SIGKILL);
  fs::permissions(folder / "", static_cast<fs::perms>(0555));
  const int status = in_child([&] {
    if (getuid() == 0 && setuid(65534) != 0) return 0;  // root is refused nothing
    if (Results(closed, Access::read).runs().size() != 1) return 1;
    if (Results(killed, Access::read).curve("a", "error", 9) != std::vector<double>{.5}) return 2;
    const std::string refused = message([&] { Results(closed, Access::write); });
    return refused.find("Permission denied") == std::string::npos ? 3 : 0;
  });
  fs::permissions(folder / "", fs::perms::owner_all);
  CHECK(status == 0);
}
