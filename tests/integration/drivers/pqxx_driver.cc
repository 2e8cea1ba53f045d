#include <cstdlib>
#include <iostream>
#include <pqxx/pqxx>
#include <stdexcept>
#include <string>

namespace {

void check(bool good, char const* what) {
    if (!good) throw std::logic_error(what);
}

bool refused_again(pqxx::transaction_base& work, std::string const& table) {
    try {
        work.exec("INSERT INTO " + table + " VALUES (1, 'again')");
    } catch (pqxx::unique_violation const&) {
        return true;
    }
    return false;
}

void prepared(pqxx::connection& connection, std::string const& table) {
    connection.prepare("put", "INSERT INTO " + table + " VALUES ($1, $2)");
    for (int row = 1; row <= 20; ++row) {
        pqxx::work work(connection);
        work.exec_prepared("put", row, "word " + std::to_string(row));
        work.commit();
    }
}

void transactions(pqxx::connection& connection, std::string const& table) {
    {
        pqxx::work work(connection);
        work.exec("INSERT INTO " + table + " VALUES (100, 'no')");
        work.abort();
    }
    pqxx::work work(connection);
    for (int const row : {101, 102}) work.exec_params("INSERT INTO " + table + " VALUES ($1, 'yes')", row);
    work.commit();
}

void copy(pqxx::connection& connection, std::string const& table) {
    {
        pqxx::work work(connection);
        pqxx::stream_to in(work, table);
        for (int row = 1001; row <= 2000; ++row) in << std::make_tuple(row, std::string("copied"));
        in.complete();
        work.commit();
    }
    pqxx::work work(connection);
    pqxx::stream_from out(work, table);
    std::tuple<int, std::string> row;
    int rows = 0;
    while (out >> row) ++rows;
    check(rows == 1022, "copied out");
}

void errors(pqxx::connection& connection, std::string const& table) {
    {
        pqxx::nontransaction work(connection);
        check(refused_again(work, table), "a second 1 was taken");
    }
    pqxx::work work(connection);
    work.exec("INSERT INTO " + table + " VALUES (103, 'no')");
    check(refused_again(work, table), "a second 1 was taken");
}

}  // namespace

int main(int, char** words) try {
    std::string const table = words[3];
    pqxx::connection connection(std::string("host=") + words[1] + " port=" + words[2] + " dbname=audit user=auditor");
    prepared(connection, table);
    transactions(connection, table);
    copy(connection, table);
    errors(connection, table);
    pqxx::work work(connection);
    std::cout << work.exec1("SELECT count(*) FROM " + table)[0].as<int>() << '\n';
    work.commit();
    return 0;
} catch (std::exception const& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
